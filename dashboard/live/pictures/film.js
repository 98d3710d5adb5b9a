// The paths of chains as a film: a button that plays it and a slider over its states.

import { make } from "../parts/dom.js"
import { count, figure } from "../parts/formatting.js"
import { paintField } from "./drawing/field.js"
import { drawTrajectory } from "./drawing/trajectory.js"

/** Milliseconds from the first state to the last. */
const LENGTH = 5000

/** The content of a card of a Trajectory frame, its end first; `landscape`: a Field frame under it.
 * The canvas has the `plane` it is drawn on. */
export function film({ frame, canvas, width, colours, landscape }) {
  const { x_range: xs, y_range: ys } = landscape?.header.meta ?? {}
  const behind = landscape ? { image: paintField(landscape, colours), ranges: [xs, ys] } : null
  const last = frame.arrays.positions.shape[0] - 1
  const about = make("span.bl-muted", {})
  const slider = make("input", {
    type: "range",
    min: 0,
    max: last,
    step: 1,
    value: last,
    "aria-label": "State of the path",
  })
  const button = make("button.bl-button", { type: "button" }, "Play")
  const show = (until) => {
    canvas.plane = drawTrajectory(canvas, frame, width, colours, { until, behind })
    about.textContent = stateInWords(frame, until)
    slider.setAttribute("aria-valuetext", about.textContent)
  }
  const play = player(last, slider, button, show)
  slider.oninput = () => {
    play.stop()
    show(Number(slider.value))
  }
  button.onclick = () => (play.isOn() ? play.stop() : play.start(Number(slider.value)))
  show(last)
  return [canvas, make("div.bl-film", {}, button, slider), about]
}

/** A film that goes on from a state, from the first one where it stands at its end. */
function player(last, slider, button, show) {
  let next = 0
  const stop = () => {
    cancelAnimationFrame(next)
    next = 0
    button.textContent = "Play"
  }
  const start = (at) => {
    const first = at >= last ? 0 : at
    const began = performance.now() - (first / Math.max(last, 1)) * LENGTH
    button.textContent = "Pause"
    const step = (now) => {
      const until = Math.min(Math.floor(((now - began) / LENGTH) * last), last)
      slider.value = Math.max(until, 0)
      show(Number(slider.value))
      if (until < last && slider.isConnected) next = requestAnimationFrame(step)
      else stop()
    }
    next = requestAnimationFrame(step)
  }
  return { start, stop, isOn: () => next !== 0 }
}

/** `1 path · state 3 of 10 · energy 1.2`; of several paths without their energies. */
export function stateInWords({ arrays }, until) {
  const [states, chains] = arrays.positions.shape
  const energy = chains === 1 && arrays.energies ? arrays.energies.data[until] : null
  return [
    chains === 1 ? "1 path" : `${count(chains)} paths`,
    `state ${count(until)} of ${count(states - 1)}`,
    energy === null ? "" : `energy ${figure(energy)}`,
    "○ first ● last",
  ]
    .filter(Boolean)
    .join(" · ")
}
