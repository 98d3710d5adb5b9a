// What every live page says about itself: the connection, and runs elsewhere that need a look.

import { make } from "./dom.js"

export class Notices {
  /** `own`: the runs this page shows, whose alarms it shows itself. */
  constructor(own = []) {
    this.own = own
    this.line = make("div.bl-note.connection", { hidden: true })
    this.polling = make("div.bl-note.info", {
      hidden: true,
      textContent:
        "No WebSocket can be had here (a proxy may be in the way): the page asks twice a second " +
        "instead. docs/proxy.md says how to let it through.",
    })
    this.alarms = make("div.bl-note", { hidden: true, role: "status" })
    this.disk = make("div.bl-note.info", { hidden: true, role: "status" })
    this.deleted = make("div.bl-note.alarm", { hidden: true, role: "alert" })
    this.trouble = make("div.bl-note.info", { hidden: true, role: "status" })
    /** by run: why what is live does not come the usual way */
    this.sources = new Map()
    this.slot = make(
      "div",
      {},
      this.line,
      this.polling,
      this.disk,
      this.deleted,
      this.trouble,
      this.alarms,
    )
  }

  close() {
    clearInterval(this.counting)
  }

  connection({ open, polling, retryIn, reason, isRefused }) {
    clearInterval(this.counting)
    this.polling.hidden = !(open && polling)
    if (open) {
      this.line.hidden = true
      this.since = null
      this.sources.clear()
      this.showSources()
      return
    }
    const tried = performance.now()
    this.since ??= tried
    const say = () => {
      const now = performance.now()
      const silent = Math.round((now - this.since) / 1000)
      const wait = Math.max(0, Math.ceil((retryIn - (now - tried)) / 1000))
      const again = make("a", { href: "", textContent: "Load the page again" })
      this.line.replaceChildren(
        make("b", {}, `Live updates stopped ${silent}s ago.`),
        ` ${reason || "Runs go on, or will by themselves once Basin is back."} `,
        isRefused ? again : `Trying again in ${wait}s.`,
      )
      this.line.hidden = false
    }
    this.counting = setInterval(say, 1000)
  }

  /** Say by which way a run's frames come, when it is not the usual one; "" when it is again. */
  showSource({ run, message, since }) {
    const clock =
      since && new Date(1000 * since).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
    if (message) this.sources.set(run, clock ? `${message} since ${clock}.` : message)
    else this.sources.delete(run)
    this.showSources()
  }

  showSources() {
    this.disk.textContent = [...new Set(this.sources.values())].join(" ")
    this.disk.hidden = !this.sources.size
  }

  /** A run that was deleted while it was shown. */
  showDeleted({ run, message }) {
    this.sources.delete(run)
    this.showSources()
    const words = this.own.length === 1 ? message : `${run}: ${message}`
    this.deleted.append(
      ...(this.deleted.hidden ? [] : [make("br")]),
      `${words} `,
      make("a", { href: "runs", textContent: "See the runs that are there" }),
    )
    this.deleted.hidden = false
  }

  /** Say what is not known at present; "" when all is. */
  showTrouble(words) {
    this.trouble.textContent = words
    this.trouble.hidden = !words
  }

  /** Name other runs that need a look. */
  showAlarms({ runs }) {
    const others = runs.filter((run) => !this.own.includes(run.id))
    this.alarms.hidden = !others.length
    this.alarms.replaceChildren(
      make(
        "b",
        {},
        others.length === 1 ? "A run needs a look: " : `${others.length} runs need a look: `,
      ),
      ...others
        .slice(0, 5)
        .flatMap((run, place) => [
          place ? " · " : "",
          make("a", { href: `run?id=${run.id}`, title: run.alarms.join("\n") }, run.name),
          others.length === 1 ? ` · ${run.alarms[run.alarms.length - 1]}` : "",
        ]),
    )
  }
}
