"""A small language model made on the spot: random weights in llama's shape, a vocabulary of common English
pieces, ChatML. It answers in word salad, at the speed and with the arithmetic of a real model.

The vocabulary is of llama.cpp's `rwkv` kind: the longest piece that matches wins, and there is nothing to
train. It is counted from the language reference in Python's standard library, and gives 2.3 to 2.9
characters per token of English (a real vocabulary: about 4).
"""

import re
import string
from collections import Counter
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from pydoc_data.topics import topics

import gguf
import numpy as np
from numpy.typing import NDArray

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONTROL = ["<|pad|>", "<|im_start|>", "<|im_end|>"]
EOS = CONTROL.index("<|im_end|>")
NEVER = -1000.0
SCALES = {
    "attn_q": 2.0,
    "attn_k": 2.0,
    "attn_output": 8.0,
}  # sharp and strong: what is asked changes the answer
Q8 = gguf.GGMLQuantizationType.Q8_0


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the file. `eos_bias`: None never ends an answer before its allowance; 0 treats
    the end like any word, more ends sooner."""

    layers: int = 4
    embedding: int = 256
    heads: int = 4
    kv_heads: int = 2
    feed_forward: int = 512
    words: int = 3000
    pieces: int = 3000
    trained_window: int = 32768
    eos_bias: float | None = None
    seed: int = 1


def make_model(recipe: Recipe, folder: Path) -> Path:
    """The recipe's GGUF file in `folder`, written unless it is there."""
    vocabulary = make_vocabulary(recipe)
    made_from = repr((asdict(recipe), vocabulary)).encode() + Path(__file__).read_bytes()
    key = sha256(made_from).hexdigest()[:16]
    path = folder / f"llmq-test-{key}.gguf"
    if not path.exists():
        half = path.with_suffix(".part")
        _write(recipe, vocabulary, half)
        half.replace(path)
    return path


def make_vocabulary(recipe: Recipe) -> list[bytes]:
    """Control tokens, the 256 bytes, then whole words with their space and frequent parts of words."""
    text = "\n".join(topics.values())
    words = Counter(re.findall(r"[A-Za-z]+", text))
    common = [f" {word}".encode() for word, _ in words.most_common(recipe.words)]
    parts: Counter[str] = Counter()
    for word, count in words.items():
        for length in range(2, 5):
            parts[f" {word[:length]}"] += count
            for start in range(len(word) + 1 - length):
                parts[word[start : start + length]] += count
    rest = [part.encode() for part, _ in parts.most_common(recipe.pieces)]
    single = [bytes([byte]) for byte in range(256)]
    return list(dict.fromkeys([token.encode() for token in CONTROL] + single + common + rest))


def _write(recipe: Recipe, vocabulary: list[bytes], path: Path) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("llmq-test")
    writer.add_block_count(recipe.layers)
    writer.add_context_length(recipe.trained_window)
    writer.add_embedding_length(recipe.embedding)
    writer.add_feed_forward_length(recipe.feed_forward)
    writer.add_head_count(recipe.heads)
    writer.add_head_count_kv(recipe.kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(recipe.embedding // recipe.heads)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    _add_tokenizer(writer, vocabulary)
    for name, values in _weights(recipe, vocabulary).items():
        if values.ndim == 1:
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, gguf.quants.quantize(values, Q8), raw_dtype=Q8)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tokenizer(writer: gguf.GGUFWriter, vocabulary: list[bytes]) -> None:
    kinds = [gguf.TokenType.CONTROL] * len(CONTROL)
    kinds += [gguf.TokenType.NORMAL] * (len(vocabulary) - len(CONTROL))
    writer.add_tokenizer_model("rwkv")
    writer.add_token_list(CONTROL + [_escape(token) for token in vocabulary[len(CONTROL) :]])
    writer.add_token_scores([0.0] * len(vocabulary))
    writer.add_token_types(kinds)
    writer.add_vocab_size(len(vocabulary))
    writer.add_pad_token_id(0)
    writer.add_eos_token_id(EOS)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHATML)


def _escape(token: bytes) -> str:
    """llama.cpp undoes this for `rwkv` vocabularies."""
    plain = (" " + string.ascii_letters + string.digits).encode()
    return "".join(chr(byte) if byte in plain else f"\\x{byte:02x}" for byte in token)


def _weights(recipe: Recipe, vocabulary: list[bytes]) -> dict[str, NDArray[np.float32]]:
    """Random, but for hidden dimension 0: it is 1 in every embedding and no layer writes to it, so that
    column 0 of the output matrix is a bias per token, and only whole words are ever said."""
    dice = np.random.default_rng(recipe.seed)
    width, kv_width = recipe.embedding, recipe.embedding // recipe.heads * recipe.kv_heads

    def matrix(rows: int, columns: int, scale: float = 1.0) -> NDArray[np.float32]:
        values = dice.standard_normal((rows, columns), dtype=np.float32)
        return values * np.float32(scale / np.sqrt(columns))

    ones = np.ones(width, dtype=np.float32)
    embedding = matrix(len(vocabulary), width, scale=np.sqrt(width))
    embedding[:, 0] = 1.0
    output = matrix(len(vocabulary), width, scale=3.0)
    output[:, 0] = _biases(recipe, vocabulary)
    weights = {"token_embd.weight": embedding, "output_norm.weight": ones, "output.weight": output}
    for layer in range(recipe.layers):
        shapes = {
            "attn_q": (width, width), "attn_k": (kv_width, width), "attn_v": (kv_width, width),
            "attn_output": (width, width), "ffn_gate": (recipe.feed_forward, width),
            "ffn_up": (recipe.feed_forward, width), "ffn_down": (width, recipe.feed_forward),
        }  # fmt: skip
        block = {name: matrix(*shape, scale=SCALES.get(name, 1.0)) for name, shape in shapes.items()}
        block["attn_output"][0] = block["ffn_down"][0] = 0.0
        weights |= {f"blk.{layer}.{name}.weight": values for name, values in block.items()}
        weights |= {f"blk.{layer}.{name}.weight": ones for name in ("attn_norm", "ffn_norm")}
    return weights


def _biases(recipe: Recipe, vocabulary: list[bytes]) -> NDArray[np.float32]:
    biases = np.full(len(vocabulary), NEVER, dtype=np.float32)
    first = len(CONTROL) + 256
    biases[first : first + recipe.words] = 0.0
    if recipe.eos_bias is not None:
        biases[EOS] = recipe.eos_bias
    return biases
