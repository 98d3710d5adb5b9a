// Small pieces of page that several modules draw.

import { coloursOf, rgb, watchTheme } from "./colours.js"
import { keepPresses } from "./press.js"

const TOKENS = [
  "bg",
  "surface",
  "raised",
  "line",
  "line2",
  "field",
  "muted",
  "accent",
  "fill",
  "alarm",
  "warning",
  "good",
]

/** An element from a tag such as "div.bl-note.alarm", its attributes and its children. */
export function make(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".")
  const element = document.createElement(name)
  element.className = classes.join(" ")
  for (const [key, value] of Object.entries(attributes)) {
    if (key in element) element[key] = value
    else element.setAttribute(key, value)
  }
  element.append(...children)
  return element
}

/** The root of a module: colours as variables that follow the theme. */
export function rootOf(slot, onTheme) {
  const root = make("div.bl")
  const paint = (colours) => {
    for (const name of TOKENS) root.style.setProperty(`--bl-${name}`, colours[name])
    // what the browser draws by itself, such as a slider's track
    root.style.colorScheme = rgb(colours.bg)[0] < 128 ? "dark" : "light"
  }
  slot.replaceChildren(root)
  keepPresses(root)
  paint(coloursOf(slot))
  const unwatch = watchTheme(slot, (colours) => {
    paint(colours)
    onTheme?.(colours)
  })
  return { root, unwatch }
}

/** Call `act` once no dialog is open: a page that is drawn anew closes the one somebody fills in. */
export function afterDialogs(act) {
  if (document.querySelector('[role="dialog"]')) setTimeout(() => afterDialogs(act), 500)
  else act()
}

/** A `draw` that waits while the pointer is down on `root`: what is drawn anew between press and
 * release loses the click or the drag. */
export function whenReleased(root, draw) {
  let isDown = false
  let isWaiting = false
  root.addEventListener("pointerdown", () => {
    isDown = true
    const ended = new AbortController()
    const release = () => {
      ended.abort()
      isDown = false
      // after the click, which comes with the release
      if (isWaiting) setTimeout(draw)
      isWaiting = false
    }
    for (const name of ["pointerup", "pointercancel"])
      window.addEventListener(name, release, { signal: ended.signal })
  })
  return () => {
    if (isDown) isWaiting = true
    else draw()
  }
}

/** A row of exclusive buttons; returns it with `choose(value)` and `disable(value, reason)`. */
export function segments(options, chosen, onChoose, label) {
  const row = make("div.bl-seg", { role: "group", "aria-label": label })
  const buttons = new Map()
  const show = (value) => {
    for (const [key, button] of buttons) button.setAttribute("aria-pressed", String(key === value))
  }
  for (const [value, word] of Object.entries(options)) {
    const button = make("button", { type: "button", textContent: word })
    button.onclick = () => {
      show(value)
      onChoose(value)
    }
    buttons.set(value, button)
    row.append(button)
  }
  show(chosen)
  row.show = show
  row.choose = (value) => buttons.get(value)?.click()
  row.disable = (value, reason) => {
    buttons.get(value).disabled = Boolean(reason)
    buttons.get(value).title = reason
  }
  row.hide = (value, isHidden) => (buttons.get(value).hidden = isHidden)
  return row
}

/** A chip that switches a layer. */
export function chip(word, colour, on, onSwitch) {
  const dot = make("i")
  dot.style.background = colour
  const button = make(
    "button.bl-chip",
    { type: "button" },
    dot,
    make("span", { textContent: word }),
  )
  button.setAttribute("aria-pressed", String(on))
  button.onclick = () => {
    const now = button.getAttribute("aria-pressed") !== "true"
    button.setAttribute("aria-pressed", String(now))
    onSwitch(now)
  }
  button.word = (text) => (button.lastChild.textContent = text)
  return button
}

/** Draws at most once a frame, and only while its element is in sight: what is not seen waits. */
export class Painter {
  constructor(element, draw) {
    this.draw = draw
    this.seen = new IntersectionObserver((entries) => {
      this.visible = entries[entries.length - 1].isIntersecting
      if (this.visible && this.wanted) this.ask()
    })
    this.seen.observe(element)
  }

  /** Draw soon. */
  ask() {
    this.wanted = true
    if (!this.visible || this.request) return
    this.request = requestAnimationFrame((now) => {
      this.request = null
      this.wanted = false
      this.draw(now)
    })
  }

  close() {
    this.seen.disconnect()
    cancelAnimationFrame(this.request)
  }
}

/** Say that something came into sight: tests and benchmarks measure how soon. */
export function drawn(element, header) {
  const { run, kind, path, seq, time } = header
  element.dispatchEvent(
    new CustomEvent("basin:drawn", { bubbles: true, detail: { run, kind, path, seq, time } }),
  )
}

const ARROWS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"]
/** Keys of fields that take no text; all others are the page's. */
const KEYS_OF = { checkbox: [" "], radio: [" ", ...ARROWS], range: ARROWS, button: [" ", "Enter"] }

/** True for a key press that belongs to a field rather than to the page. */
export function inField(event) {
  const { target } = event
  if (event.ctrlKey || event.metaKey || event.altKey || target.isContentEditable) return true
  if (target.tagName === "INPUT") return KEYS_OF[target.type]?.includes(event.key) ?? true
  return ["TEXTAREA", "SELECT"].includes(target.tagName)
}

/** Keep a setting in the page's address, without loading anything; Streamlit leaves it alone. */
export function keepInAddress(name, value) {
  const address = new URL(window.location.href)
  if (value === null || value === "") address.searchParams.delete(name)
  else address.searchParams.set(name, value)
  if (window.basinKeep) window.basinKeep(name, address)
  else history.replaceState(history.state, "", address)
}

export function fromAddress(name) {
  return new URL(window.location.href).searchParams.get(name)
}
