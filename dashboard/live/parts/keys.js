// Keys of a page: which presses are its own, and the switch for single letters.

import { inField, make } from "./dom.js"

const STORED = "basin:single-keys"
const PRESSED = ["BUTTON", "A", "SUMMARY"]
const PRESSING = [" ", "Enter"]

/** True for a key press that belongs to a field, a dialog, or to a button that it presses. */
export function belongsElsewhere(event) {
  if (inField(event)) return true
  const { target } = event
  const isPressable =
    PRESSED.includes(target.tagName) || ["button", "tab", "option"].includes(target.role)
  return (isPressable && PRESSING.includes(event.key)) || Boolean(target.closest?.("[role=dialog]"))
}

/** Single letters as keys: on unless turned off in this browser. */
export const letters = {
  areOn() {
    try {
      return localStorage.getItem(STORED) !== "off"
    } catch {
      return true // a browser that keeps nothing
    }
  },
  /** A box that turns them on and off. */
  toggle() {
    const box = make("input", { type: "checkbox", checked: letters.areOn() })
    box.onchange = () => {
      try {
        localStorage.setItem(STORED, box.checked ? "on" : "off")
      } catch {
        box.checked = true
      }
    }
    return make("label", {}, box, " Keys are on (? always opens this list)")
  },
}

/** A note, hidden at first, of what keys do: [[key, words]]. */
export function keysNote(keys) {
  return make(
    "div.bl-note.info.bl-keys",
    { hidden: true },
    ...keys.map(([key, word]) => make("span", {}, make("kbd", {}, key), ` ${word}`)),
    letters.toggle(),
  )
}
