import assert from "node:assert/strict"
import { test } from "node:test"
import { isOfField } from "../../../dashboard/live/parts/field_keys.js"

const pressed = (target, more = {}) => ({ key: "Enter", ctrlKey: true, target, ...more })
const field = (tagName, expanded) => ({ tagName, getAttribute: () => expanded ?? null })

test("Ctrl+Enter is the page's in a line, and the field's in an area or an open list", () => {
  assert.equal(isOfField(pressed(field("INPUT"))), false)
  assert.equal(isOfField(pressed(field("BODY"))), false)
  assert.equal(isOfField(pressed(field("TEXTAREA"))), true)
  assert.equal(isOfField(pressed(field("TEXTAREA"), { ctrlKey: false, metaKey: true })), true)
  assert.equal(isOfField(pressed(field("INPUT", "true"))), true)
  assert.equal(isOfField(pressed(field("TEXTAREA"), { ctrlKey: false })), false)
  assert.equal(isOfField(pressed(field("TEXTAREA"), { key: "a" })), false)
})
