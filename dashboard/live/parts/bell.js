// Bell: the browser tells when a run that is on ends, also from a tab that is out of sight.

import { make } from "./dom.js"

const KEY = "basin-bell"
const UNDER_WAY = ["queued", "running"]

export class Bell {
  /** `surroundings`: Notification and localStorage, where they are not the browser's own. */
  constructor(surroundings = window) {
    this.memory = memoryOf(surroundings)
    this.Notification = this.memory && surroundings.Notification
    this.button = make("button.bl-chip", { type: "button", hidden: true })
    this.button.onclick = () => this.turn()
    this.last = null
  }

  get isOn() {
    return this.Notification?.permission === "granted" && this.memory.getItem(KEY) === "on"
  }

  async turn() {
    const wasOn = this.isOn
    if (!wasOn && this.Notification.permission === "default") {
      await this.Notification.requestPermission()
    }
    this.memory.setItem(KEY, wasOn ? "off" : "on")
    this.draw()
  }

  /** Take note of a run's status; the end of one that was on is told. */
  follow(status, name) {
    const isUnderWay = UNDER_WAY.includes(status.status)
    const hasEnded = UNDER_WAY.includes(this.last) && !isUnderWay
    this.last = status.status
    this.draw()
    if (!hasEnded || !this.isOn) return
    // under one tag: the same run in several tabs is told once
    const note = new this.Notification(`${name}: ${status.status}`, {
      body: status.reason,
      tag: `basin-${status.id}-${status.attempt}`,
    })
    note.onclick = () => {
      window.focus()
      note.close()
    }
  }

  draw() {
    const canTell = this.Notification && this.Notification.permission !== "denied"
    this.button.hidden = !canTell || !UNDER_WAY.includes(this.last)
    this.button.textContent = this.isOn ? "✓ tells when it ends" : "tell me when it ends"
    this.button.setAttribute("aria-pressed", String(this.isOn))
    this.button.title = "A notification of this browser, while a tab shows the run"
  }
}

/** What a browser keeps; null where it keeps nothing, as in a frame of another site's page. */
function memoryOf(surroundings) {
  try {
    return surroundings.localStorage
  } catch {
    return null
  }
}
