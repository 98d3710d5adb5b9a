import assert from "node:assert/strict"
import { test } from "node:test"

import { belongsElsewhere, letters } from "../../../dashboard/live/parts/keys.js"

const press = (key, target) => ({ key, target: { tagName: "DIV", closest: () => null, ...target } })

test("a button keeps the keys that press it, and no others", () => {
  for (const target of [{ tagName: "BUTTON" }, { tagName: "A" }, { role: "tab" }]) {
    assert.ok(belongsElsewhere(press(" ", target)))
    assert.ok(belongsElsewhere(press("Enter", target)))
    assert.ok(!belongsElsewhere(press("l", target)))
  }
  assert.ok(!belongsElsewhere(press(" ", {})))
})

test("fields and dialogs keep every key", () => {
  assert.ok(belongsElsewhere(press("p", { tagName: "INPUT" })))
  assert.ok(belongsElsewhere(press("p", { closest: () => ({}) })))
})

test("letters are on unless they were turned off in this browser", () => {
  assert.ok(letters.areOn(), "a browser that keeps nothing")
  globalThis.localStorage = { getItem: () => "off" }
  assert.ok(!letters.areOn())
  delete globalThis.localStorage
})
