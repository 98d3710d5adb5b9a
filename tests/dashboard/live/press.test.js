import assert from "node:assert/strict"
import { test } from "node:test"

import { keepPresses, noted, twinOf } from "../../../dashboard/live/parts/press.js"

/** As much of an element as a press needs. */
class Element extends EventTarget {
  constructor(tagName, textContent = "", dataset = {}) {
    super()
    Object.assign(this, { tagName, textContent, dataset, children: [], clicks: 0 })
  }

  get isConnected() {
    return this.parentElement?.isConnected ?? this.tagName === "ROOT"
  }

  replaceChildren(...children) {
    for (const child of this.children) child.parentElement = null
    this.children = children
    for (const child of children) child.parentElement = this
  }

  closest(selector) {
    const isHere = selector.includes("data-run")
      ? "run" in this.dataset || "path" in this.dataset
      : this.tagName === "BUTTON"
    return isHere ? this : (this.parentElement?.closest(selector) ?? null)
  }

  querySelectorAll() {
    return this.children.flatMap((child) => [
      ...(child.tagName === "BUTTON" ? [child] : []),
      ...child.querySelectorAll(),
    ])
  }

  getAttribute() {
    return null
  }

  focus() {
    document.activeElement = this
  }

  click() {
    this.clicks++
  }
}

globalThis.window = new EventTarget()
globalThis.document = { body: {}, activeElement: null }
const observers = []
globalThis.MutationObserver = class {
  constructor(changed) {
    observers.push(changed)
  }
  observe() {}
}

const button = (words) => new Element("BUTTON", words)
function row(run, ...words) {
  const element = new Element("DIV", "", { run })
  element.replaceChildren(...words.map(button))
  return element
}
function page(...rows) {
  const root = new Element("ROOT")
  root.replaceChildren(...rows)
  keepPresses(root)
  return root
}
function say(target, type, on, x = 0) {
  const event = new Event(type)
  Object.defineProperty(event, "target", { value: on })
  Object.assign(event, { button: 0, clientX: x, clientY: 0 })
  target.dispatchEvent(event)
}
const clicks = (root) => root.querySelectorAll().map((each) => each.clicks)

test("a button drawn anew between press and release is clicked, once, wherever it went", () => {
  const root = page(row("a", "Stop", "Open"), row("b", "Stop", "Open"))
  say(root, "pointerdown", root.children[1].children[0])
  root.replaceChildren(row("b", "Stop", "Open"), row("a", "Stop", "Open"))
  say(window, "pointerup")
  assert.deepEqual(clicks(root), [1, 0, 0, 0])
  say(window, "pointerup")
  assert.deepEqual(clicks(root), [1, 0, 0, 0])
})

test("words that tick are told by their place", () => {
  const root = page(row("a", "0.131", "0.2"))
  say(root, "pointerdown", root.children[0].children[0])
  root.replaceChildren(row("a", "0.130", "0.2"))
  say(window, "pointerup")
  assert.deepEqual(clicks(root), [1, 0])
})

test("the browser clicks what is still there; what was dragged or is gone is not clicked", () => {
  const root = page(row("a", "Stop"))
  const stop = root.children[0].children[0]
  say(root, "pointerdown", stop)
  say(window, "pointerup")
  assert.equal(stop.clicks, 0)
  say(root, "pointerdown", stop)
  root.replaceChildren(row("a", "Stop"))
  say(window, "pointerup", null, 40)
  say(root, "pointerdown", root.children[0].children[0])
  root.replaceChildren(row("a", "Stop"))
  say(window, "pointercancel")
  assert.deepEqual(clicks(root), [0])
  say(root, "pointerdown", root.children[0].children[0])
  root.replaceChildren()
  say(window, "pointerup")
})

test("of several that read alike none is clicked unless it stands in the same place", () => {
  const root = page(row("a", "x", "Stop", "Stop"))
  const stop = noted(root.children[0].children[2], root)
  root.replaceChildren(row("a", "Stop", "y", "Stop"))
  assert.equal(twinOf(stop, root), root.children[0].children[2])
  root.replaceChildren(row("a", "Stop", "Stop"))
  assert.equal(twinOf(stop, root), null)
})

test("the focus goes to what is drawn in place of what had it, and is taken from nobody", () => {
  const root = page(row("a", "Stop"))
  const [changed] = observers.slice(-1)
  say(root, "focusin", root.children[0].children[0])
  root.replaceChildren(row("a", "Stop"))
  document.activeElement = document.body
  changed()
  assert.equal(document.activeElement, root.children[0].children[0])
  say(root, "focusin", root.children[0].children[0])
  root.replaceChildren(row("a", "Stop"))
  const elsewhere = (document.activeElement = {})
  changed()
  assert.equal(document.activeElement, elsewhere)
})
