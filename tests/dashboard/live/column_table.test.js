import assert from "node:assert/strict"
import { test } from "node:test"

import { usesOf } from "../../../dashboard/live/charts/column_table.js"

test("a column of two values can be a concept, and words cannot be learned", () => {
  assert.deepEqual(usesOf({ kind: "number", distinct: 90 }), ["learned", "class", "left out"])
  assert.deepEqual(usesOf({ kind: "whole number", distinct: 2 }), [
    "learned",
    "class",
    "concept",
    "left out",
  ])
  assert.deepEqual(usesOf({ kind: "text", distinct: 3 }), ["class", "left out"])
  assert.deepEqual(usesOf({ kind: "yes or no", distinct: 2 }), ["class", "concept", "left out"])
})
