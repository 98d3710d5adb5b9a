// What can be done with the runs that are selected: a bar that floats over the list.

import { make } from "../parts/dom.js"
import { isResumable, STATUSES } from "../parts/vocabulary.js"

export const MOST_COMPARED = 64

export class Actions {
  /** `list`: {act(act, runs), compare(), save(runs), clear()}. */
  constructor(list) {
    this.list = list
    this.bar = make("div.bl-actions", {
      hidden: true,
      role: "toolbar",
      "aria-label": "Selected runs",
    })
  }

  draw(runs) {
    this.bar.hidden = !runs.length
    const key = JSON.stringify(runs.map((run) => [run.id, run.status]))
    if (key === this.key) return
    this.key = key
    const { list } = this
    const some = (...words) => runs.filter((run) => words.includes(run.status)).map((run) => run.id)
    // what a script of the user's own trains is begun again, and paused, by that script alone
    const ours = new Set(runs.filter((run) => !run.tracked).map((run) => run.id))
    const someOfOurs = (...words) => some(...words).filter((id) => ours.has(id))
    const buttons = []
    const add = (word, ids, press, kind = "") => {
      if (!ids.length) return
      const label = ids.length < runs.length ? `${word} ${ids.length}` : word
      const button = make(`button.bl-button${kind}`, { type: "button", textContent: label })
      button.onclick = () => press(ids)
      buttons.push(button)
    }
    const ids = runs.map((run) => run.id)
    add("Compare", ids.slice(0, MOST_COMPARED), () => list.compare(), ".primary")
    add("Pause", someOfOurs("running"), (which) => list.act("pause", which))
    add("Stop", some("running", "queued", "paused"), (which) => list.act("stop", which))
    const idle = someOfOurs(...Object.keys(STATUSES).filter(isResumable))
    add("Resume", idle, (which) => list.act("resume", which))
    const waiting = some("queued")
    add("To the front", waiting, (which) => list.act("front", which))
    add("Clone with edits", runs.length === 1 ? [...ours] : [], () =>
      window.location.assign(`launch?from=${ids[0]}`),
    )
    add(runs.length === 1 ? "Name, tags, note" : "Tag", ids, (which) => list.act("edit", which))
    add("Export", ids, () => list.save(runs))
    const over = runs.filter((run) => run.status !== "running").map((run) => run.id)
    add("Delete", over, (which) => list.act("delete", which), ".alarm")
    const clear = make("button.bl-quiet", { type: "button", textContent: "✕" })
    clear.setAttribute("aria-label", "Clear the selection")
    clear.onclick = () => list.clear()
    const number = runs.length === 1 ? "1 run" : `${runs.length} runs`
    this.bar.replaceChildren(make("span", {}, number), ...buttons, clear)
  }
}

/** Words for a few seconds, with an act that takes back what was done. */
export class Toast {
  constructor() {
    this.slot = make("div.bl-toast", { hidden: true, role: "status" })
  }

  /** `acts`: [[word, press], ...]; it goes after `seconds`. */
  show(words, acts, seconds = 12) {
    clearTimeout(this.timer)
    const buttons = acts.map(([word, press]) => {
      const button = make("button.bl-quiet", { type: "button", textContent: word })
      button.onclick = () => {
        this.slot.hidden = true
        press()
      }
      return button
    })
    this.slot.replaceChildren(make("span", {}, words), ...buttons)
    this.slot.hidden = false
    this.timer = setTimeout(() => (this.slot.hidden = true), 1000 * seconds)
  }

  close() {
    clearTimeout(this.timer)
  }
}
