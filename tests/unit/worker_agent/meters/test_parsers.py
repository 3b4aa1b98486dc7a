"""What the tools and files print is read as it is meant. The texts are written for these tests in the
documented formats: none was recorded on a Raspberry Pi or a Mac."""

import ipaddress
import time

import pytest

from worker_agent.meters import mac, memory, pi, proc, rapl, thermal
from worker_agent.meters.source import NOTHING

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2CAA 00000000:0000 0A 00000000:00000000 00:00000000 00000000   998        0 21987 1 0000 100 0
   1: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 33001 1 0000 100 0
   2: 0100007F:2CAA 0100007F:D2F4 01 00000000:00000000 00:00000000 00000000   998        0 55555 1 0000 20 4
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue
   0: 00000000000000000000000000000000:2CAA 00000000000000000000000000000000:0000 0A 0:0 00:0 0 7 0 8 1
   1: 0000000000000000FFFF00000100007F:2CAA 00000000000000000000000000000000:0000 0A 0:0 00:0 0 7 0 9 1
"""
LOOPBACK = ipaddress.ip_address("127.0.0.1")


def test_a_listening_socket_is_found_and_a_connection_is_not():
    """The row of an open connection on the same port is no engine."""
    assert proc.listeners(TCP, 11434) == [proc.Listener(LOOPBACK, "21987", 998)]
    assert proc.listeners(TCP, 8080) == [proc.Listener(ipaddress.ip_address("0.0.0.0"), "33001", 1000)]
    assert proc.listeners(TCP, 1234) == []


def test_who_listens_on_the_address_itself_comes_before_who_listens_on_all():
    """Another program may have the same port on another address."""
    both = proc.listeners(TCP6, 11434)
    assert [str(one.address) for one in both] == ["::", "127.0.0.1"]
    assert [one.inode for one in proc.facing(both, [LOOPBACK])] == ["9"]
    assert [one.inode for one in proc.facing(both[:1], [LOOPBACK])] == ["8"]
    assert proc.facing(both[1:], [ipaddress.ip_address("10.0.0.5")]) == []


def test_an_account_with_one_family_of_processes_is_known_by_it():
    """Ollama's own account runs `ollama serve` and its runners; two families do not tell."""
    assert proc.only_root({50: 1, 51: 50, 52: 51}) == 50
    assert proc.only_root({50: 1, 51: 50, 60: 1}) is None
    assert proc.only_root({}) is None


def test_descendants_are_found_without_the_kernels_lists():
    """A child's child counts, a stranger does not."""
    assert set(proc.descendants([5], {5: 1, 6: 5, 7: 6, 8: 1, 9: 8})) == {5, 6, 7}


def test_memory_that_files_are_cached_in_is_available():
    """Used is what is left for nobody; a kernel too old to say it says nothing."""
    text = "MemTotal:       16000000 kB\nMemFree:  1000000 kB\nMemAvailable:   12000000 kB\nCached: 9 kB\n"
    assert memory.used_bytes(text) == 4_000_000 * 1024
    assert memory.used_bytes("MemTotal: 16000000 kB\n") is None


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("throttled=0x50005\n", 0x50005),
        ("50005\n", 0x50005),
        ("throttled=0x0", 0),
        ("", None),
        ("error=1", None),
    ],
)
def test_throttle_flags_are_read_from_the_command_and_from_the_kernel(text, flags):
    """`vcgencmd get_throttled` writes 0x, the kernel's file does not; anything else is unknown."""
    assert pi.throttled_flags(text) == flags


@pytest.mark.parametrize(
    ("flags", "before", "slowed"),
    [
        (0x0, 0x0, False),
        (0x1, 0x0, False),  # too low a voltage, and not slower yet
        (0x4, 0x0, True),
        (0x2, 0x2, True),
        (0x50000, 0x50000, False),  # since boot, but not since the last look
        (0x40000, 0x0, True),  # between two looks
        (0x10000, 0x0, False),
    ],
)
def test_a_pi_is_throttled_now_or_since_the_last_look(flags, before, slowed):
    """Not because it once was, since it was switched on."""
    assert pi.slowed(flags, before) is slowed


def test_the_power_of_a_pi_5_is_the_sum_over_its_rails():
    """Currents and voltages are separate lines, by the rail's name; the input has no current."""
    text = (
        "   3V3_SYS_A current(1)=0.10000000A\n  VDD_CORE_A current(7)=2.50000000A\n"
        "   3V3_SYS_V volt(9)=3.30000000V\n  VDD_CORE_V volt(15)=0.80000000V\n"
        "     EXT5V_V volt(24)=5.10000000V\n"
    )
    assert pi.rails_w(text) == pytest.approx(0.33 + 2.0)
    assert pi.rails_w('error=1 error_msg="Command not registered"') is None  # an older Pi


MACMON = (
    '{"timestamp":"2026-05-14T12:00:00Z","temp":{"cpu_temp_avg":45.5,"gpu_temp_avg":51.25},'
    '"memory":{"ram_total":17179869184,"ram_usage":9000000000,"swap_total":0,"swap_usage":0},'
    '"ecpu_usage":[1000,0.1],"pcpu_usage":[2000,0.2],"gpu_usage":[1200,0.9],"cpu_power":2.0,'
    '"gpu_power":12.0,"ane_power":0.0,"all_power":14.0,"sys_power":%s,"ram_power":1.5,"gpu_ram_power":0.5}'
)


def test_macmon_tells_the_whole_machines_power_where_the_mac_does():
    """Else that of the chip, under another name; and never 0 W."""
    whole, chip = mac.macmon_seen(MACMON % 21.5), mac.macmon_seen(MACMON % 0.0)
    assert (whole.power_w, whole.energy, whole.temp_c) == (21.5, "macmon", 51.25)
    assert (chip.power_w, chip.energy) == (14.0, "macmon_chip")
    nothing = mac.macmon_seen(
        '{"temp":{"cpu_temp_avg":0.0,"gpu_temp_avg":0.0},"all_power":0.0,"sys_power":0.0}'
    )
    assert nothing == NOTHING


@pytest.mark.parametrize("line", ["", "Error: something", "[1]", "null", '{"temp": 3}', '{"sys_power":"x"}'])
def test_a_line_that_is_not_macmons_says_nothing(line):
    """It never ends the measuring."""
    assert mac.macmon_seen(line) == NOTHING


def test_powermetrics_is_read_by_the_line_that_has_all_of_it():
    """GPU power stands in it twice; the sum is one line, in milliwatts, on an Intel Mac in watts."""
    block = [
        "*** Sampled system activity (Wed May 14 12:00:00 2026 +0000) (1003.12ms elapsed) ***",
        "CPU Power: 1996 mW",
        "GPU Power: 324 mW",
        "Combined Power (CPU + GPU + ANE): 2320 mW",
        "GPU Power: 324 mW",
    ]
    assert [watts for line in block if (watts := mac.powermetrics_w(line)) is not None] == [2.32]
    assert mac.powermetrics_w("Intel energy model derived package power (CPUs+GT+SA): 3.45W") == 3.45


def test_a_childs_lines_may_come_in_pieces(tmp_path):
    """Whole lines count, the last of them."""
    gate = tmp_path / "gate"
    wait = f"until [ -e {gate} ]; do sleep 0.01; done"
    source = mac.Macmon(["sh", "-c", f"""printf '{{"sys_power":5}}\n{{"sys_po'; {wait}; echo 'wer":7}}'"""])
    assert next_power(source) == 5.0
    gate.touch()
    assert next_power(source) == 7.0
    source.close()


def test_a_child_that_ends_is_not_started_at_every_look(tmp_path):
    """It would cost more than it tells; after a pause it may be another matter."""
    starts = tmp_path / "starts"
    source = mac.Macmon(["sh", "-c", f"""echo >> {starts}; echo '{{"sys_power":5}}'"""])
    assert next_power(source) == 5.0
    with pytest.raises(TimeoutError):
        next_power(source, within_s=0.3)
    assert starts.read_text() == "\n"
    source.close()
    assert next_power(source) == 5.0
    source.close()


def next_power(source, within_s=10.0):
    """The next one it tells."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if (seen := source.read(())).power_w:
            return seen.power_w
        time.sleep(0.01)
    raise TimeoutError("it said nothing")


def test_rapl_counts_packages_and_begins_again(tmp_path):
    """Their parts, and the same package by another way, are left out; a counter that wrapped lost nothing."""
    for zone, name, energy_uj in (
        ("intel-rapl:0", "package-0", 900_000),
        ("intel-rapl:0:0", "core", 500_000),
        ("intel-rapl:1", "psys", 700_000),
        ("intel-rapl-mmio:0", "package-0", 900_000),
    ):
        (tmp_path / zone).mkdir()
        for file, text in (("name", name), ("energy_uj", energy_uj), ("max_energy_range_uj", 1_000_000)):
            (tmp_path / zone / file).write_text(f"{text}\n")
    source = rapl.Rapl(tmp_path)
    assert source.read(()).counter_j == 0.0
    for file in tmp_path.glob("*/energy_uj"):
        file.write_text("400000\n")
    seen = source.read(())
    assert (seen.counter_j, seen.energy) == (pytest.approx(0.5), "rapl")
    assert not rapl.Rapl(tmp_path / "none").there


def test_the_hottest_zone_counts_and_a_dead_sensor_does_not():
    """Thousandths of a degree; -274 and 0 are sensors that are off."""
    assert thermal.hottest_c(["48312\n", "61000\n", "-274000\n", "0\n", "", "err\n"]) == 61.0
    assert thermal.hottest_c(["", "0"]) is None
