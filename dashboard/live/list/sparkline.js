// Pictures as small as a word: the course of a figure, and figures of several runs on one axis.

const WIDTH = 84
const HEIGHT = 24
const EDGE = 3

function svg(children, label) {
  const space = "http://www.w3.org/2000/svg"
  const element = document.createElementNS(space, "svg")
  element.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`)
  element.setAttribute("width", WIDTH)
  element.setAttribute("height", HEIGHT)
  element.setAttribute("role", "img")
  element.setAttribute("aria-label", label)
  for (const [name, attributes] of children) {
    const child = document.createElementNS(space, name)
    for (const [key, value] of Object.entries(attributes)) child.setAttribute(key, value)
    element.append(child)
  }
  return element
}

/** Positions of values along a length; on a log scale where all are positive and far apart. */
export function positions(values, length, isLog) {
  const useLog =
    values.every((value) => value > 0) && (isLog || Math.max(...values) > 50 * Math.min(...values))
  const scaled = useLog ? values.map(Math.log) : values
  const [low, high] = [Math.min(...scaled), Math.max(...scaled)]
  const span = high - low || 1
  return scaled.map(
    (value) => EDGE + (high === low ? 0.5 : (value - low) / span) * (length - 2 * EDGE),
  )
}

/** The course of a figure, oldest first. */
export function sparkline(values) {
  if (values.length < 2) return ""
  const heights = positions(values, HEIGHT, false).map((place) => HEIGHT - place)
  const across = (place) => EDGE + (place / (values.length - 1)) * (WIDTH - 2 * EDGE)
  const points = heights.map((height, place) => `${across(place).toFixed(1)},${height.toFixed(1)}`)
  const last = { cx: across(values.length - 1), cy: heights.at(-1), r: 2, fill: "currentColor" }
  const line = {
    points: points.join(" "),
    fill: "none",
    stroke: "currentColor",
    "stroke-width": 1.3,
  }
  return svg(
    [
      ["polyline", line],
      ["circle", last],
    ],
    `from ${values[0]} to ${values.at(-1)}`,
  )
}

/** Figures of several runs as dots on one axis, with their goal as a line. */
export function dots(values, goal, isLog) {
  if (!values.length) return ""
  const hasGoal = Number.isFinite(goal)
  const places = positions(hasGoal ? [...values, goal] : values, WIDTH, isLog)
  const children = []
  const own = places.slice(0, values.length)
  const middle = HEIGHT / 2
  const axis = { x1: Math.min(...own), x2: Math.max(...own), y1: middle, y2: middle }
  children.push(["line", { ...axis, stroke: "currentColor", opacity: 0.5 }])
  if (hasGoal) {
    const x = places.at(-1)
    const line = { x1: x, x2: x, y1: 3, y2: HEIGHT - 3, stroke: "currentColor" }
    children.push(["line", { ...line, "stroke-dasharray": "2 2" }])
  }
  for (const cx of own) children.push(["circle", { cx, cy: middle, r: 2.6, fill: "currentColor" }])
  return svg(children, `${values.length} runs, ${Math.min(...values)} to ${Math.max(...values)}`)
}
