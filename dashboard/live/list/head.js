// The head of every page: workers, what runs and waits, what needs a look.

import { make, rootOf } from "../parts/dom.js"
import { headWords } from "../parts/head_words.js"

const EVERY = 2000
const SHOW_TITLE = 60
/** Pages on which no run may be named. */
const BLIND = /\/arena$/

export function mount(slot, component) {
  const head = new Head(slot, component.data.token)
  return { update: (data) => (head.token = data.token), unmount: () => head.close() }
}

class Head {
  constructor(slot, token) {
    this.token = token
    const { root, unwatch } = rootOf(slot)
    Object.assign(this, { root, unwatch })
    this.line = make("div.bl-head", { role: "status" })
    root.append(this.line)
    this.shown = () => document.hidden || this.ask()
    document.addEventListener("visibilitychange", this.shown)
    this.timer = setInterval(this.shown, EVERY)
    this.ask()
  }

  close() {
    this.closed = true
    clearInterval(this.timer)
    document.removeEventListener("visibilitychange", this.shown)
    this.unwatch()
  }

  async ask() {
    if (this.asking) return
    this.asking = true
    try {
      const address = new URL("live/head", window.location.href)
      address.searchParams.set("token", this.token)
      if (BLIND.test(window.location.pathname)) address.searchParams.set("blind", "")
      const answer = await fetch(address, { cache: "no-store" })
      if (answer.ok && !this.closed) this.draw(await answer.json())
    } catch {
      // the server is away: the page itself says so
    } finally {
      this.asking = false
    }
  }

  draw(state) {
    const key = JSON.stringify(state)
    if (key === this.key) return
    this.key = key
    const parts = headWords(state).map(({ text, href, isLook, title }) => {
      const name = isLook ? "a.bl-look" : "a"
      return make(name, { href, title: (title ?? "").slice(0, SHOW_TITLE) }, text)
    })
    this.line.replaceChildren(...parts.flatMap((part, place) => (place ? [" · ", part] : [part])))
  }
}
