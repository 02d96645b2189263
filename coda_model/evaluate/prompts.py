"""How a problem is put to a model: as a text to go on from (base), or as a turn of a conversation (chat).

The chat prompts are those of CoDA's evaluation (arXiv 2510.03270): `humaneval_instruct` and `mbpp_instruct` of
lm-evaluation-harness. The base prompt of MBPP is the three-shot one of its authors (arXiv 2108.07732).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

# A function at the left margin ends where another statement begins (arXiv 2107.03374, section 3).
_FUNCTION_ENDS = ("\nclass ", "\ndef ", "\n#", "\nif ", "\nprint(", "\n@", "\nassert ", "\nfrom ", "\nimport ")
_FENCE = "\n```"
Shot = tuple[str, Sequence[str], str]


@dataclass(frozen=True)
class Prompts:
    """The prompts of one style."""

    style: Literal["base", "chat"] = "base"

    @property
    def ends_of_function(self) -> tuple[str, ...]:
        return (*_FUNCTION_ENDS, _FENCE) if self.style == "base" else (_FENCE,)

    @property
    def ends_of_answer(self) -> tuple[str, ...]:
        return ("[DONE]", _FENCE) if self.style == "base" else (_FENCE,)

    def continue_code(self, prompt: str) -> str:
        """A function's head and docstring, to be continued."""
        if self.style == "base":
            return prompt
        question = "Write a solution to the following problem and make sure that it passes the tests:"
        answer = f"Here is the completed function:\n```python\n{prompt}\n"
        return _turns(f"{question}\n```python\n{prompt}\n```\n", answer)

    def solve(self, text: str, tests: Sequence[str], shots: Sequence[Shot]) -> str:
        """A task in words with its tests, to be solved; `shots` are solved examples."""
        if self.style == "chat":
            return _turns(_task(text, tests), "Here is the completed function:\n```python\n")
        parts = [f"{_task(a, b)}\n[BEGIN]\n{code.strip()}\n[DONE]\n\n" for a, b, code in shots]
        return "".join([*parts, f"{_task(text, tests)}\n[BEGIN]\n"])

    def solve_docstring(self, prompt: str) -> str:
        """A task in a docstring that ends in a test, to be solved by the program below it."""
        return prompt if self.style == "base" else self.continue_code(prompt)


def _task(text: str, tests: Sequence[str]) -> str:
    return (
        f"You are an expert Python programmer, and here is your task: {text.strip()} "
        "Your code should pass these tests:\n\n" + "\n".join(tests)
    )


def _turns(question: str, answer: str) -> str:
    """Qwen's chat template, the answer begun."""
    return f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{answer}"
