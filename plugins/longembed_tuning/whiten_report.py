"""What a fit of a whitening has given: for the screen, and for the card of the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from longembed_st.files import atomic_folder
from longembed_st.loading.whitening import FILE_NAME, Whitening
from longembed_st.sentence_transformer.model import LongSentenceTransformer
from longembed_tuning.judging import Judgement


@dataclass(frozen=True)
class Fit:
    """A whitening, and how it was fitted and judged.

    Attributes:
        whitening: The whitening, to be built into the model.
        variant: Which of the variants that `on_document` was given the whitening is for.
        judgement: The whitening judged on documents held out of the fit; None without validation.
        weighting: Weighted tokens against equal ones; None if only one of them was tried.
        documents: How many documents it was fitted on.
        windows: How many windows these documents have.
        differences: Windows less documents: in how many directions they can differ.
        partly_read: How many of the documents are longer than the model's window.
        repeated: How many documents were left out as near-duplicates of others.
    """

    whitening: Whitening
    variant: int
    judgement: Judgement | None
    weighting: Judgement | None
    documents: int
    windows: int
    differences: int
    partly_read: int
    repeated: int

    @property
    def gains(self) -> bool:
        """Whether nothing speaks against it: it gains, or was not judged."""
        return self.judgement is None or self.judgement.gains

    def summary(self) -> list[str]:
        """Return sentences that say what it was fitted on and how it was judged."""
        lines = [f"Fitted on {self.windows:,} windows of {self.documents:,} documents."]
        width = 0 if self.whitening.map is None else self.whitening.map.matrix.shape[1]
        if self.differences < width:
            lines.append(
                f"That is fewer differences between windows ({self.differences:,}) than numbers in "
                f"a vector ({width:,}): in the other directions, only the ridge counts."
            )
        if self.partly_read:
            lines.append(
                f"Not read to their end, being longer than the window: {self.partly_read:,} "
                "documents."
            )
        if self.repeated:
            lines.append(f"Left out as near-duplicates of others: {self.repeated:,} documents.")
        if self.weighting is not None:
            lines.append(f"{describe(self.weighting, 'Weighing tokens as well')}.")
        if self.judgement is not None:
            lines.append(f"{describe(self.judgement)}.")
        return lines


def save(model: LongSentenceTransformer, fit: Fit, folder: Path) -> None:
    """Write a whitened model with a card that says what it was fitted on, whole or not at all.

    The folder holds the whitening as a file of its own, too, for `load(..., whitening=FOLDER)`.
    """
    with atomic_folder(folder) as unfinished:
        model.save_pretrained(str(unfinished))
        fit.whitening.write(Path(unfinished, FILE_NAME))
        with Path(unfinished, "README.md").open("a", encoding="utf8") as file:
            file.write(_card(fit))


def describe(judgement: Judgement, subject: str = "Whitening") -> str:
    """Return a judgement as one sentence, without its full stop."""
    verdict = "helps" if judgement.gains else "gains nothing"
    return (
        f"{subject} {verdict}: {judgement.queries} passages, each to find its document among "
        f"{judgement.documents} by a fit without it, nDCG@10 {judgement.before:.1f} before, "
        f"{judgement.after:.1f} after (95% interval of the difference {judgement.low:+.1f} to "
        f"{judgement.high:+.1f})"
    )


def _card(fit: Fit) -> str:
    """Return the part of a model card that is about a whitening, in Markdown."""
    table = "\n".join(f"| {name} | {value} |" for name, value in fit.whitening.notes.items())
    judged = f"\n\n{describe(fit.judgement)}." if fit.judgement else ""
    method = (
        "The last modules are a linear map, fitted without labels: within-class covariance "
        "normalisation (Hatch, Kajarekar and Stolcke 2006) with the document as the class."
        if fit.whitening.map
        else "The tokens are weighted in the mean of a window; no label was used."
    )
    return (
        f"\n\n## Whitening within documents\n\n{method} Vectors cannot be compared with those of "
        f"the unwhitened model.\n\n| fitted on | |\n|---|---|\n{table}{judged}\n"
    )
