"""One denoising step for all drafts of a request: a batched forward, draws at the masks, commits and edits."""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from itertools import groupby

import torch
from torch import Tensor

from coda_model.draft import Assembled, Draft, OpenHole, Site
from coda_model.forward import Steps
from coda_model.request import InfillOptions
from coda_model.tokenizer import CodeTokenizer
from coda_model.transformer import CodaTransformer
from coda_model.unmask import (
    Samples,
    adaptive_commits,
    choose_positions,
    even_commits,
    log_staying,
    sample_tokens,
    with_distant,
)

# Rows whose logits are held at one time: 256 rows of a vocabulary of 151,936 are 156 MB in fp32.
_LOGIT_ROWS = 256

Forward = Callable[[Sequence[Draft], Sequence[Assembled]], Steps[list[Tensor]]]
"""Asks for the last hidden states [sites, D] of each draft, given the drafts and what they assemble to."""


class Denoiser:
    """The steps of one request; `forward` says what each computes.

    Tokens that may never stand in a fill are forbidden at every draw.
    """

    def __init__(
        self,
        model: CodaTransformer,
        tokenizer: CodeTokenizer,
        options: InfillOptions,
        allow_carriage_return: bool,
        forward: Forward,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.options = options
        self._forward = forward
        self._never_V = tokenizer.is_special | tokenizer.is_unwritable
        if not allow_carriage_return:
            self._never_V = self._never_V | tokenizer.has_carriage_return
        config = model.config
        edits = [config.expand_token_id, config.delete_token_id] if config.finds_length else []
        self._edits = torch.tensor(edits, dtype=torch.int64, device=model.model.embed_tokens.weight.device)
        self._masks: dict[tuple[bool, bool, bool], Tensor] = {}

    def with_forward(self, forward: Forward) -> "Denoiser":
        """The same with other forwards."""
        other = copy(self)
        other._forward = forward
        return other

    def first_step_confidence(self, drafts: Sequence[Draft]) -> Steps[list[list[float]]]:
        """For each draft and hole the mean of the likeliest tokens' probabilities at its masks, from one forward."""
        assembled = [draft.assemble(self.model.config.mask_token_id) for draft in drafts]
        hidden = yield from self._forward(drafts, assembled)
        means = []
        for draft, (_, sites), hidden_NxD in zip(drafts, assembled, hidden, strict=True):
            best_N = torch.cat(
                [
                    self._logits(draft, chunk, hidden_NxD[start : start + len(chunk)], False)[0].softmax(-1).amax(-1)
                    for start, chunk in _chunks(sites)
                ]
            ).tolist()
            by_hole: list[list[float]] = [[] for _ in draft.holes]
            for site, best in zip(sites, best_N, strict=True):
                by_hole[site.hole].append(best)
            means.append([sum(values) / len(values) for values in by_hole])
        return means

    def log_probabilities(self, drafts: Sequence[Draft], wanted_N: Tensor) -> Steps[list[tuple[Tensor, Tensor]]]:
        """For each draft the log-probabilities [N] of the `wanted` ids at its N masks, whatever may stand there, and of
        each mask being one token [N]."""
        assembled = [draft.assemble(self.model.config.mask_token_id) for draft in drafts]
        hidden = yield from self._forward(drafts, assembled)
        values = []
        for hidden_NxD in hidden:
            log_probability_NxV = self.model.logits(hidden_NxD).log_softmax(-1)
            value_N = log_probability_NxV.gather(-1, wanted_N.to(hidden_NxD.device)[:, None])[:, 0]
            of_edits_N = log_probability_NxV[:, self._edits].exp().sum(-1)
            values.append((value_N, torch.log1p(-of_edits_N.clamp(max=1 - 1e-6))))
        return values

    def step(self, drafts: Sequence[Draft], steps_left: int | None) -> Steps[None]:
        """Advance every draft that has masks by one step; with steps_left 1 all of them are complete afterwards.

        steps_left None commits one token a step, or with an adaptive algorithm as many as are sure.
        """
        drafts = [draft for draft in drafts if draft.masked]
        assembled = [draft.assemble(self.model.config.mask_token_id) for draft in drafts]
        hidden = yield from self._forward(drafts, assembled)
        last = steps_left is not None and steps_left <= 1
        for draft, (_, sites), hidden_NxD in zip(drafts, assembled, hidden, strict=True):
            samples, stays = self._sample(draft, sites, hidden_NxD, may_expand=not last)
            sure = adaptive_commits(samples.confidence, self.options.algorithm, self.options.bound)
            count = max(sure, even_commits(len(sites), steps_left))
            chosen = choose_positions(samples.confidence, count, self.options.alg_temp, draft.generator).tolist()
            if self.options.algorithm == "entropy_bound" and self.options.apart:
                chosen = with_distant(chosen, samples.confidence, [site.row for site in sites], self.options.apart)
            first = [index for index, (hole, slot, _) in enumerate(sites) if draft.holes[hole].comes_first(slot)]
            self._commit(draft, sites, samples, stays, chosen if last else first or chosen)

    def _sample(
        self, draft: Draft, sites: list[Site], hidden_NxD: Tensor, may_expand: bool
    ) -> tuple[Samples, list[float]]:
        """What is drawn at the sites, and the log-probability that each holds one token."""
        options = self.options
        parts: list[Samples] = []
        stays: list[float] = []
        for start, chunk in _chunks(sites):
            logits_NxV, edits_NxE = self._logits(draft, chunk, hidden_NxD[start : start + len(chunk)], may_expand)
            part = sample_tokens(
                logits_NxV,
                options.algorithm,
                draft.temperature,
                options.top_p,
                options.top_k,
                draft.generator,
                _given(draft, chunk, hidden_NxD.device),
            )
            parts.append(part)
            log_total_N = logits_NxV.gather(-1, part.ids[:, None])[:, 0] - part.log_probability
            stays += log_staying(edits_NxE, logits_NxV[:, self._edits], log_total_N).nan_to_num(0.0).tolist()
        samples = Samples(
            ids=torch.cat([part.ids for part in parts]),
            confidence=torch.cat([part.confidence for part in parts]),
            log_probability=torch.cat([part.log_probability for part in parts]),
        )
        return samples, stays

    def _logits(
        self, draft: Draft, sites: Sequence[Site], hidden_NxD: Tensor, may_expand: bool
    ) -> tuple[Tensor, Tensor]:
        """Logits [N, V] with -inf for what the site's slot may not hold, and those [N, E] of the edits as they were."""
        logits_NxV = self.model.logits(hidden_NxD)
        edits_NxE = logits_NxV[:, self._edits].clone()
        start = 0
        for number, group in groupby(sites, key=lambda site: site.hole):
            end = start + len(list(group))
            logits_NxV[start:end] += self._forbidden(draft.holes[number], may_expand)
            start = end
        for row_V, site in zip(logits_NxV, sites, strict=True):
            if (ids := self._only(draft.holes[site.hole], site.slot)) is not None:
                kept = row_V[ids]
                row_V.fill_(-torch.inf)[ids] = kept
        if (expand := self.model.config.expand_token_id) is not None:
            forbid_unlikely_growth(logits_NxV, expand)
        return logits_NxV, edits_NxE

    def _only(self, hole: OpenHole, slot: int) -> Tensor | None:
        """The ids that may be drawn at a slot, where its characters are given.

        Expansion is among them only while the hole has no other slot: where the model would write something else, it
        would else win over what must stand there again and again.
        """
        ids = hole.only(slot)
        expand = self.model.config.expand_token_id
        if ids is not None and expand is not None and all(hole.only(i) is not None for i in range(len(hole.slots))):
            ids = torch.cat((ids, torch.tensor([expand])))
        return None if ids is None else ids.to(self.model.model.embed_tokens.weight.device)

    def _forbidden(self, hole: OpenHole, may_expand: bool) -> Tensor:
        """0 for the ids that the hole may hold, -inf for the others; [V] fp32 on the model's device."""
        config = self.model.config
        key = (hole.single_line, may_expand and hole.may_expand, hole.fixed)
        if key not in self._masks:
            forbidden_V = self._never_V.clone()
            if hole.single_line:
                forbidden_V |= self.tokenizer.has_newline | self.tokenizer.has_carriage_return
            if config.finds_length:
                forbidden_V[config.expand_token_id] = not key[1]
                forbidden_V[config.delete_token_id] = hole.fixed
            mask_V = torch.zeros(len(forbidden_V)).masked_fill_(forbidden_V, -torch.inf)
            self._masks[key] = mask_V.to(self.model.model.embed_tokens.weight.device)
        return self._masks[key]

    def _commit(self, draft: Draft, sites: list[Site], samples: Samples, stays: list[float], chosen: list[int]) -> None:
        config = self.model.config
        ids, log_probabilities = samples.ids.tolist(), samples.log_probability.tolist()
        picked = set(chosen)
        if config.finds_length:
            for run in trailing_deletes(draft, sites, ids, config.delete_token_id):
                if picked.intersection(run):
                    picked.update(run)
        # From the right, so that edits leave the slots still to be committed where they are.
        for index in sorted(picked, reverse=True):
            hole, slot, token = draft.holes[sites[index].hole], sites[index].slot, ids[index]
            if config.finds_length and token == config.expand_token_id:
                hole.expand(slot)
            elif config.finds_length and token == config.delete_token_id:
                hole.delete(slot, log_probabilities[index])
            elif hole.comes_first(slot):
                hole.commit(slot, token)
            else:
                hole.commit(slot, token, log_probabilities[index], stays[index])


def _given(draft: Draft, sites: Sequence[Site], device: torch.device) -> Tensor | None:
    """The tokens [N] int64 that are given at the sites of a draft, -1 where none is; None where there are none."""
    tokens = [hole.given for hole in draft.holes]
    given = [None if (of_hole := tokens[site.hole]) is None else of_hole[site.slot] for site in sites]
    if all(token is None for token in given):
        return None
    return torch.tensor([-1 if token is None else token for token in given], device=device)


def forbid_unlikely_growth(logits_NxV: Tensor, expand_id: int) -> None:
    """Set the logit of expanding to -inf, in place, where it has no more than half of the probability.

    Where a model does not know which token comes, each of them is unlikelier than an expansion that has a third of the
    probability, and a hole would grow where it is likelier to be long enough. Deleting is left as likely as it is: a
    slot too many does more harm than one that is missing (docs/log.md).
    """
    expand_N = logits_NxV[:, expand_id]
    unlikely_N = logits_NxV.softmax(-1)[:, expand_id] <= 0.5
    logits_NxV[:, expand_id] = expand_N.masked_fill(unlikely_N, -torch.inf)


def trailing_deletes(draft: Draft, sites: Sequence[Site], ids: Sequence[int], delete_id: int | None) -> list[set[int]]:
    """For each hole the sites (as indices) of the masks at its end that are all drawn as delete.

    Deletes gather at a hole's end; once one of the run is sure enough, the others would only cost steps.
    """
    runs: list[set[int]] = [set() for _ in draft.holes]
    expected = [len(hole.slots) - (1 if hole.closing is None else 2) for hole in draft.holes]
    for index in range(len(sites) - 1, -1, -1):
        hole, slot, _ = sites[index]
        if slot == expected[hole] and ids[index] == delete_id:
            runs[hole].add(index)
            expected[hole] -= 1
    return runs


def _chunks(sites: Sequence[Site]) -> Iterator[tuple[int, Sequence[Site]]]:
    for start in range(0, len(sites), _LOGIT_ROWS):
        yield start, sites[start : start + _LOGIT_ROWS]
