"""Fleet files: what is accepted, and how every fault is told."""

from pathlib import Path

import pytest

from worker_agent.config import Host, ModelName, read_fleet
from worker_agent.errors import ConfigError

CONFIGS = Path(__file__).parents[3] / "configs"


def fleet(folder: Path, text: str, name: str = "fleet.toml") -> tuple[Host, ...]:
    path = folder / name
    path.write_text(text)
    return read_fleet(path, {"KEY": "sesame"})


def faults(folder: Path, text: str, name: str = "fleet.toml") -> str:
    with pytest.raises(ConfigError) as caught:
        fleet(folder, text, name)
    return str(caught.value)


def host(**keys: str) -> str:
    """A [[host]] with one key replaced or added; values are TOML."""
    base = {"id": '"a"', "engine": '"ollama"', "url": '"http://10.0.0.1:11434"'} | keys
    return "[[host]]\n" + "".join(f"{key} = {value}\n" for key, value in base.items() if value)


def test_the_example_fleet_reads_as_its_comments_say():
    """Every key of the example has its meaning, defaults included."""
    office, pi, gpu = read_fleet(CONFIGS / "fleet.example.toml", {"GPU_SERVER_KEY": "sesame"})
    mistral = ModelName("mistral-7b-instruct-v0.2", "mistral-7b-instruct-v0.2")
    assert office == Host("imac-office", "lm_studio", "http://192.168.1.105:1234", (mistral,), slots=3)
    assert pi.url == "http://192.168.1.120:11434"
    assert pi.models[1] == ModelName("mistral-7b", "mistral:7b-instruct-q4_K_M")
    assert (pi.slots, pi.context_length, pi.timeout_s, pi.tags) == (None, 4096, 900, ("slow", "office"))
    assert (gpu.url, gpu.api_key, gpu.models) == ("https://gpu.example.org/llm", "sesame", ())


def test_slots_may_be_found_out(tmp_path):
    """A number, or the word "auto"; other words are refused in the words of the numbers."""
    file = tmp_path / "fleet.toml"
    file.write_text(host(slots='"auto"'))
    assert [one.slots for one in read_fleet(file)] == ["auto"]
    assert "slots: input should be a valid integer, got 'many'" in faults(tmp_path, host(slots='"many"'))


def test_the_seeds_file_reads_with_its_ports_and_five_slots():
    """A workers.json needs no change; what it leaves out has the seed's default."""
    hosts = read_fleet(CONFIGS / "workers.example.json")
    assert [(h.engine, h.url, h.slots) for h in hosts] == [
        ("lm_studio", "http://192.168.1.105:1234", 3),
        ("ollama", "http://192.168.1.106:11434", 2),
        ("exo", "http://192.168.1.107:52415", 5),
    ]
    assert hosts[2].models == (ModelName("llama-3.1-70b", "llama-3.1-70b"),)


def test_all_faults_are_told_at_once_with_their_place(tmp_path):
    """A person repairs the file in one go."""
    told = faults(
        tmp_path,
        host(slots="0") + host(id='"b"', engine='"olama"', ulr='"x"', slots='"3"') + '[[host]]\nhost = "x"\n',
    )
    assert "host 1 (a): slots: input should be greater than or equal to 1, got 0" in told
    assert "host 2 (b): engine: unknown engine 'olama'; did you mean 'ollama'?" in told
    assert "host 2 (b): unknown key 'ulr'; did you mean 'url'?" in told
    assert "host 2 (b): slots: input should be a valid integer, got '3'" in told
    assert "host 3: id: missing" in told
    assert "host 3: engine: missing" in told


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (host(id='"my host"'), "letters, digits"),
        (host(id='"a@b"'), "letters, digits"),
        (host(id='"a\\n"'), "letters, digits"),
        (host(url=""), "either url or host"),
        (host(host='"x"'), "either url or host"),
        (host(port="80"), "port belongs into the url"),
        (host(url='"10.0.0.1:11434"'), "expected http://host:port"),
        (host(url='"http://x:99999"'), "url: Port out of range"),
        (host(url='"http://me:sesame@x"'), "api_key_env"),
        (host(url="", host='"x"', engine='"auto"'), "expected a port"),
        (host(models='"a"'), "models: expected a list"),
        (host(models="[3]"), 'expected "name" or'),
        (host(models='["a", { "a" = "b" }]'), "named twice"),
        (host(model='"a"'), "did you mean 'models'?"),
        (host(timeout_s="inf"), "timeout_s: "),
        (host(slots="true"), "slots: "),
        (host(api_key_env='"NOT_SET"'), "environment variable NOT_SET is not set"),
        (host(api_key='"a"', api_key_env='"KEY"'), "either api_key or api_key_env"),
        (host() + host(), "two hosts have one id: a, at http://10.0.0.1:11434 and"),
        (host() + host(id='"b"', url='"HTTP://10.0.0.1:11434/v1/"'), "two hosts have one url: a and b"),
        ("[host]\nid = 'a'\n", "at least one [[host]]"),
        ("[[hosts]]\n", "unknown key 'hosts'; did you mean 'host'?"),
        ("", "at least one [[host]]"),
        ("[[host]]\nid = \n", "line 2"),
    ],
)
def test_a_fault_is_named(tmp_path, row, told):
    """Each wrong file is refused in words that say what to repair."""
    assert told in faults(tmp_path, row)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"workers": [{"id": "a",}]}', "line 1"),
        ('{"workers": {}}', 'at least one entry in "workers"'),
        ("[]", '{"workers": [...]}'),
        ('{"workers": [{"id": "a", "host": "x", "type": "vllm", "model": "m"}]}', "workers 1 (a): type: "),
        ('{"workers": [{"id": "a", "host": "x", "type": "exo"}]}', "workers 1 (a): model: missing"),
        ('{"workers": [3]}', "workers 1: "),
    ],
)
def test_a_fault_in_the_seeds_file_is_named(tmp_path, text, told):
    """The same for workers.json."""
    assert told in faults(tmp_path, text, "workers.json")


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("http://x:1234/", "http://x:1234"),
        ("http://x:1234/v1", "http://x:1234"),
        ("https://x/llm/v1/", "https://x/llm"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_address_is_kept_without_what_engines_add(tmp_path, url, kept):
    """People paste the address that an OpenAI client wants, /v1 included."""
    assert fleet(tmp_path, host(url=f'"{url}"'))[0].url == kept


def test_a_key_is_never_shown(tmp_path):
    """Neither a Host in a log nor a fault of the key's own host quotes the key."""
    (one,) = fleet(tmp_path, host(api_key_env='"KEY"'))
    assert one.api_key == "sesame"
    assert "sesame" not in repr(one)
    assert "sesame" not in faults(tmp_path, host(api_key='["sesame"]', url='"ftp://sesame"'))


@pytest.mark.parametrize("name", ["fleet.toml", "workers.json"])
def test_a_file_that_cannot_be_read_is_a_configuration_error(tmp_path, name):
    """Missing and not UTF-8: one line with the path, no traceback."""
    with pytest.raises(ConfigError, match="No such file"):
        read_fleet(tmp_path / name)
    (tmp_path / name).write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=f"{name}.*utf-8"):
        read_fleet(tmp_path / name)
