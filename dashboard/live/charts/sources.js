// What a board of curves shows: of one run its paths with their companions, of several a line each.

import { COMPANION_ENDING, COMPANIONS, HEADLINES, REFERENCE_ENDING } from "../parts/vocabulary.js"

const NUM_HEADLINES = 4
/** Series of one chart of a run, by what their path ends in; reference lines are not among them. */
const SERIES = { "": "data", "/train_time": "chains", "/long_run": "samples" }
const REFERENCES = Object.entries(COMPANIONS).filter(([, { reference }]) => reference)

/** The address of a table with the curves of some members of a chart. */
function tableAddress(live, members) {
  const address = live.address("live/curves.csv")
  for (const run of new Set(members.map((member) => member.run)))
    address.searchParams.append("run", run)
  for (const path of new Set(members.map((member) => member.path)))
    address.searchParams.append("path", path)
  return address.href
}

/** Fetch stretches at full resolution into curves; what was fetched before all was said anew is old. */
async function fetchInto(page, curves, run, paths, from, to) {
  const epoch = curves.epoch
  const frames = await page.live.range(run, paths, from, to)
  if (!frames || epoch !== curves.epoch) return
  for (const frame of frames) curves.addDetail(frame)
  page.board.ask()
}

/** A run's paths, each with its companions. */
export function runSource(page) {
  const { curves, settings } = page
  const fed = (path) => Object.keys(SERIES).some((tail) => curves.get(path + tail)?.value.length)
  const known = () => [
    ...new Set([...curves.paths.keys()].map((path) => path.replace(COMPANION_ENDING, ""))),
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
      Object.entries(SERIES).flatMap(([tail, colour]) => {
        const columns = curves.get(path + tail)
        if (!columns) return []
        const made = tail === "" && path.startsWith("quality/") ? "samples" : colour
        const name = COMPANIONS[tail.slice(1)]?.title ?? ""
        const member = { run: settings.run, path: path + tail, columns, curves }
        return [{ key: path + tail, name, colour: (colours) => colours[made], members: [member] }]
      }),
    references: (path) =>
      REFERENCES.map(([tail, { title }]) => ({
        word: title,
        value: curves.last(`${path}/${tail}`),
      })),
    end: (axis) => (axis === "step" ? page.status?.budget?.steps : null),
    costs: () => curves.costs,
    range: (run, paths, from, to) => fetchInto(page, curves, run, paths, from, to),
    tableAddress: (members) => tableAddress(page.live, members),
  }
}

const DASHES = ["solid", "dash", "dot"]

/** A line a group of runs, its seeds as a band. */
export function compareSource(page) {
  const each = () => [...page.curves.values()]
  const all = () => [...new Set(each().flatMap((curves) => [...curves.paths.keys()]))]
  const about = (path) => {
    const head = path.replace(COMPANION_ENDING, "")
    const known = page.data.figures[head] ?? { title: head }
    const tail = COMPANIONS[path.slice(head.length + 1)]?.title
    return { ...known, title: tail ? `${known.title}, ${tail}` : known.title, head }
  }
  const lineOf = (group, index, path) => {
    const members = group.runs.flatMap((run) => {
      const curves = page.curves.get(run)
      const columns = curves?.get(path)
      return columns ? [{ run, path, columns, curves }] : []
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
    paths: () => all().filter((path) => !REFERENCE_ENDING.test(path)),
    ready: () => page.synced.size >= page.curves.size && all().length > 0,
    canPlace: (path) => each().some((curves) => curves.get(path)?.value.length),
    lines: (path) =>
      page.data.groups
        .map((group, index) => lineOf(group, index, path))
        .filter((line) => line.members.length),
    // the floor or goal that all runs share, or the median of theirs
    references: (path) =>
      ["floor", "goal"].flatMap((word) => {
        const values = each()
          .map((curves) => curves.last(`${about(path).head}/${word}`))
          .filter(Number.isFinite)
          .sort((a, b) => a - b)
        return values.length ? [{ word, value: values[Math.floor(values.length / 2)] }] : []
      }),
    end: () => null,
    costs: () => new Set(each().flatMap((curves) => [...curves.costs])),
    range: (run, paths, from, to) => fetchInto(page, page.curves.get(run), run, paths, from, to),
    tableAddress: (members) => tableAddress(page.live, members),
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
