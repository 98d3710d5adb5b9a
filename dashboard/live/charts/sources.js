// What a board of curves shows: of one run its paths with their companions, of several a line each.

import { count } from "../parts/formatting.js"
import {
  COMPANION_ENDING,
  COMPANIONS,
  HEADLINES,
  NUM_SAMPLES,
  REFERENCE_ENDING,
} from "../parts/vocabulary.js"
import { COSTS } from "../stream/curves.js"
import { median } from "./small_charts.js"

const NUM_HEADLINES = 4
/** Series of one chart of a run, by what their path ends in; reference lines are not among them. */
const TAILS = Object.keys(COMPANIONS).filter((name) => !COMPANIONS[name].reference)
const SERIES = ["", ...TAILS.map((name) => `/${name}`)]
/** Colours of series that mean the same on every chart; others take those of runs in turn. */
const COLOURS = {
  "": "data",
  "/natural": "data",
  "/train_time": "chains",
  "/long_run": "samples",
  "/attacked": "samples",
}
const REFERENCES = Object.entries(COMPANIONS).filter(([, { reference }]) => reference)

/** The chart that a path is drawn in. */
const chartOf = (path) => path.replace(COMPANION_ENDING, "")

/**
 * How many samples a chart compares, {curve, final}: undefined where that does not matter to it or
 * is not known. They differ where the final figures take more than those along the way.
 */
export function samplesCompared(curves, path) {
  const numbers = curves.get(NUM_SAMPLES)?.value
  if (!path.startsWith("quality/")) return {}
  if (!numbers?.length || !curves.get(`${chartOf(path)}/floor`)?.value.length) return {}
  return { curve: numbers[0], final: numbers.length > 1 ? numbers.at(-1) : undefined }
}

/** True where the last value of a path compares another number of samples than those before. */
function isFinalApart(curves, path) {
  const { curve, final } = samplesCompared(curves, path)
  return final !== undefined && final !== curve
}

/** The numbers of samples in words, of all curves of a chart. */
export function comparedWords(all, path) {
  const known = all.map((curves) => samplesCompared(curves, path))
  const words = (numbers) => [...new Set(numbers)].map((number) => count(number)).join(" or ")
  const along = words(known.map(({ curve }) => curve).filter(Boolean))
  const apart = known.filter(({ curve, final }) => final !== undefined && final !== curve)
  if (!along) return ""
  const ends = apart.length ? `, at the end ◆ ${words(apart.map(({ final }) => final))}` : ""
  return `${along} samples${ends}`
}

/** Reference values of a chart: those along the way, and at the end where they are others. */
function referencesOf(curves, path, tail, title) {
  const values = curves.get(`${path}/${tail}`)?.value
  if (!values?.length) return []
  if (!isFinalApart(curves, path)) return [{ word: title, value: values.at(-1) }]
  return [
    { word: title, value: values[0] },
    { word: `${title} ◆`, value: values.at(-1) },
  ]
}

/** The address of a table with curves of runs, of all paths where none is named; `name`: its file. */
function tableAddress(live, runs, paths, name) {
  const address = live.address("live/curves.csv")
  for (const run of new Set(runs)) address.searchParams.append("run", run)
  for (const path of new Set(paths)) address.searchParams.append("path", path)
  address.searchParams.set("name", name)
  return address.href
}

/** The paths of a chart's reference values that a run has. */
function referencePaths(curves, path) {
  return REFERENCES.map(([tail]) => `${path}/${tail}`).filter((name) => curves.get(name))
}

/** Fetch stretches at full resolution into curves; what was fetched before all was said anew is old. */
async function fetchInto(page, curves, run, paths, from, to) {
  const epoch = curves.epoch
  const frames = await page.live.range(run, paths, from, to)
  if (!frames || epoch !== curves.epoch) return
  for (const frame of frames) curves.addDetail(frame)
  page.board.ask()
}

/** A turn of settings, or the moment a run was forked at. */
export const isMark = ({ path }) => path === "run/changed" || path === "run/forked"

/** Moments at which something was done to a run, as marks; what it refused was not done. */
function marksOf(texts, axis) {
  const place = COSTS.indexOf(axis)
  return texts.flatMap(({ last, meta }) =>
    last[place] === null || meta.level !== "info"
      ? []
      : [
          {
            x: last[place],
            words: shortened(meta.message),
            colour: (colours) => colours.muted,
          },
        ],
  )
}

/** What a mark says beside its line: a run by the last digits of its id, the step by the line. */
function shortened(message) {
  return message.replace(/^Forked from \S*(\S{4}) at step .*/, "Forked from $1").replace(/\.$/, "")
}

/** A run's paths, each with its companions. */
export function runSource(page) {
  const { curves, settings } = page
  const fed = (path) => SERIES.some((tail) => curves.get(path + tail)?.value.length)
  const known = () => [
    ...new Set([...curves.paths.keys()].filter((path) => path !== NUM_SAMPLES).map(chartOf)),
  ]
  return {
    title: "Learning",
    headline: settings.headline,
    most: NUM_HEADLINES,
    about: (path) => settings.figures[path] ?? { title: path },
    paths: () => known().filter(fed),
    ready: () => page.ready && known().some(fed),
    // a floor or goal, said at the start, keeps the place of a chart whose first value takes a while
    canPlace: (path) => (page.isOver ? fed(path) : known().includes(path)),
    lines: (path) =>
      SERIES.flatMap((tail, index) => {
        const columns = curves.get(path + tail)
        if (!columns) return []
        const made = tail === "" && path.startsWith("quality/") ? "samples" : COLOURS[tail]
        const colour = (colours) => colours[made] ?? colours.runs[index % colours.runs.length]
        const name = COMPANIONS[tail.slice(1)]?.title ?? ""
        const apart = isFinalApart(curves, path)
        const member = {
          run: settings.run,
          path: path + tail,
          columns,
          curves,
          isFinalApart: apart,
        }
        return [{ key: path + tail, name, colour, members: [member] }]
      }),
    references: (path) =>
      REFERENCES.flatMap(([tail, { title }]) => referencesOf(curves, path, tail, title)),
    compared: (path) => comparedWords([curves], path),
    end: (axis) => (axis === "step" ? page.status?.budget?.steps : null),
    marks: (axis) => marksOf([...page.texts.filter(isMark), ...(settings.forks ?? [])], axis),
    costs: () => curves.costs,
    range: (run, paths, from, to) => fetchInto(page, curves, run, paths, from, to),
    tableAddress: (members, path) => {
      const paths = [...members.map((member) => member.path), ...referencePaths(curves, path)]
      return tableAddress(page.live, [settings.run], paths, path)
    },
    wholeAddress: () => tableAddress(page.live, [settings.run], [], "curves"),
  }
}

const DASHES = ["solid", "dash", "dot"]

/** A line a group of runs, its seeds as a band. */
export function compareSource(page) {
  const each = () => [...page.curves.values()]
  const all = () => [...new Set(each().flatMap((curves) => [...curves.paths.keys()]))]
  const about = (path) => {
    const head = chartOf(path)
    const known = page.data.figures[head] ?? { title: head }
    const tail = COMPANIONS[path.slice(head.length + 1)]?.title
    return { ...known, title: tail ? `${known.title}, ${tail}` : known.title, head }
  }
  const lineOf = (group, index, path) => {
    const members = group.runs.flatMap((run) => {
      const curves = page.curves.get(run)
      const columns = curves?.get(path)
      const apart = columns && isFinalApart(curves, path)
      return columns ? [{ run, path, columns, curves, isFinalApart: apart }] : []
    })
    const dash = index < 6 ? "solid" : DASHES[1 + (index % 2)]
    const colour = ({ runs }) => runs[index % runs.length]
    return { key: group.runs[0], name: group.title, short: "", dash, members, colour }
  }
  return {
    title: "Curves",
    headline: HEADLINES.compare,
    most: 2,
    about,
    paths: () => all().filter((path) => !REFERENCE_ENDING.test(path) && path !== NUM_SAMPLES),
    ready: () => page.synced.size >= page.curves.size && all().length > 0,
    canPlace: (path) => each().some((curves) => curves.get(path)?.value.length),
    lines: (path) =>
      page.data.groups
        .map((group, index) => lineOf(group, index, path))
        .filter((line) => line.members.length),
    // the floor or goal that all runs share, or the median of theirs
    references: (path) =>
      ["floor", "goal"].flatMap((word) => {
        const known = each().flatMap((curves) => referencesOf(curves, chartOf(path), word, word))
        return [...new Set(known.map((item) => item.word))].map((name) => ({
          word: name,
          value: median(known.filter((item) => item.word === name).map(({ value }) => value)),
        }))
      }),
    compared: (path) => comparedWords(each(), path),
    end: () => null,
    costs: () => new Set(each().flatMap((curves) => [...curves.costs])),
    range: (run, paths, from, to) => fetchInto(page, page.curves.get(run), run, paths, from, to),
    tableAddress: (members, path) => {
      const floors = members.flatMap(({ curves }) => referencePaths(curves, chartOf(path)))
      const paths = [...members.map((member) => member.path), ...floors]
      const runs = members.map((member) => member.run)
      return tableAddress(page.live, runs, paths, path)
    },
    wholeAddress: () => tableAddress(page.live, [...page.curves.keys()], [], "curves"),
  }
}

/** The racers' errors against the truth, with what independent draws would miss by. */
export function labSource(page) {
  const base = compareSource(page)
  const has = (path) => [...page.curves.values()].some((curves) => curves.get(path)?.value.length)
  const errors = () => page.data.errors.map(({ path }) => path)
  const floors = (path) =>
    page.data.groups.flatMap((group, index) => {
      const run = group.runs[0]
      const curves = page.curves.get(run)
      const columns = curves?.get(`${path}/floor`)
      if (!columns?.value.length) return []
      const member = { run, path: `${path}/floor`, columns, curves }
      const colour = ({ runs }) => runs[index % runs.length]
      return [
        {
          key: `${run}:floor`,
          hiddenBy: run,
          name: "",
          dash: "dot",
          isReference: true,
          members: [member],
          colour,
        },
      ]
    })
  return {
    ...base,
    title: "Error against the truth",
    get headline() {
      return errors().some(has) ? errors() : HEADLINES.race
    },
    most: 4,
    axis: page.data.axis,
    // errors come a moment after the first points
    ready: () => (base.ready() && [...errors(), "sampler/r_hat"].some(has)) || page.isOver(),
    lines: (path) => [...base.lines(path), ...floors(path)],
    references: () => [],
    end: (axis) => (axis === page.data.axis ? page.data.budget : null),
    marks: (axis) => page.marks(axis),
    cursorAt: (at, axis) => (axis === page.data.axis ? at : null),
  }
}
