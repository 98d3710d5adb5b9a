// Words that Python's pages and these panels share. Their home is in Python: `python -m
// dashboard.vocabulary` writes them to vocabulary.json.

import vocabulary from "./vocabulary.json" with { type: "json" }

/** By status word: {sign, colour, over, resumable, failure}. */
export const STATUSES = vocabulary.statuses

/** By the last segment of a path that is no chart of its own: {title, reference}. */
export const COMPANIONS = vocabulary.companions

/** Beginnings of the tags that Basin gives by itself, and of those that name a group. */
export const { bookkeeping: BOOKKEEPING, groups: GROUPS } = vocabulary.tags

/** By page: the paths it charts first, best first. */
export const HEADLINES = vocabulary.headlines

/** The path of the number of samples that figures of quality with a floor compare. */
export const NUM_SAMPLES = vocabulary.numSamples

/** By path of a picture or table with a name of its own: {title, help}. */
export const PICTURES = vocabulary.pictures

/** By the name of a figure or picture of an answer: its title. */
export const FIGURES = vocabulary.figures

const ending = (names) => new RegExp(`/(${names.join("|")})$`)
const names = Object.keys(COMPANIONS)

/** Matches the end of a path that is a companion of another. */
export const COMPANION_ENDING = ending(names)

/** Matches the end of a path that is a line to compare with, not a figure of the run. */
export const REFERENCE_ENDING = ending(names.filter((name) => COMPANIONS[name].reference))

export const isOver = (status) => STATUSES[status]?.over ?? false
export const isFailure = (status) => STATUSES[status]?.failure ?? false
export const isResumable = (status) => STATUSES[status]?.resumable ?? false
