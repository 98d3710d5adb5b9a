// What every live page says about itself: the connection, and runs elsewhere that need a look.

import { make } from "./dom.js"

export class Notices {
  /** `own`: the runs this page shows, whose alarms it shows itself. */
  constructor(own = []) {
    this.own = own
    this.line = make("div.bl-note", { hidden: true })
    this.polling = make("div.bl-note.info", {
      hidden: true,
      textContent:
        "No WebSocket can be had here (a proxy may be in the way): the page asks twice a second " +
        "instead. docs/proxy.md says how to let it through.",
    })
    this.alarms = make("div.bl-note", { hidden: true, role: "status" })
    this.slot = make("div", {}, this.line, this.polling, this.alarms)
  }

  close() {
    clearInterval(this.counting)
  }

  connection({ open, polling, retryIn, reason }) {
    clearInterval(this.counting)
    this.polling.hidden = !(open && polling)
    if (open) {
      this.line.hidden = true
      this.since = null
      return
    }
    const tried = Date.now()
    this.since ??= tried
    const say = () => {
      const silent = Math.round((Date.now() - this.since) / 1000)
      const wait = Math.max(0, Math.ceil((retryIn - (Date.now() - tried)) / 1000))
      this.line.replaceChildren(
        make("b", {}, `Live updates stopped ${silent}s ago.`),
        ` ${reason || "The page shows what it had; runs go on."} Trying again in ${wait}s.`)
      this.line.hidden = false
    }
    this.counting = setInterval(say, 1000)
  }

  hear({ runs }) {
    const others = runs.filter((run) => !this.own.includes(run.id))
    this.alarms.hidden = !others.length
    this.alarms.replaceChildren(
      make("b", {}, others.length === 1 ? "A run needs a look: " : `${others.length} runs need a look: `),
      ...others.slice(0, 5).flatMap((run, place) => [
        place ? " · " : "",
        make("a", { href: `/run?id=${run.id}`, title: run.alarms.join("\n") }, run.name),
        others.length === 1 ? ` · ${run.alarms[run.alarms.length - 1]}` : "",
      ]))
  }
}
