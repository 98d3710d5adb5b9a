import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import vm from "node:vm"

import { keepInAddress } from "../../../dashboard/live/parts/dom.js"

const SHELL = new URL("../../../dashboard/live/parts/shell.js", import.meta.url)

/** A browser at an address, with shell.js run in it. */
function browser(start) {
  const location = { href: start }
  Object.defineProperty(location, "pathname", { get: () => new URL(location.href).pathname })
  const calls = []
  const go = (how) => (state, title, target) => {
    calls.push(how)
    if (target !== undefined) location.href = new URL(target, location.href).href
  }
  const history = { state: null, pushState: go("push"), replaceState: go("replace") }
  const document = { currentScript: { src: start }, addEventListener() {} }
  const window = { location, addEventListener() {} }
  class MutationObserver {
    observe() {}
  }
  const globals = { window, history, document, MutationObserver, URL, setTimeout }
  vm.runInNewContext(readFileSync(SHELL, "utf8"), globals)
  Object.assign(globalThis, { window, history })
  return { history, location, calls, words: () => new URL(location.href).search }
}

test("what a module keeps in the address is left alone when the server writes there", () => {
  const page = browser("http://host/a/run?id=r&axis=step")
  keepInAddress("axis", "seconds")
  keepInAddress("zoom", "1,2")
  page.history.pushState({}, "", "/a/run?id=s&axis=step")
  assert.equal(page.words(), "?id=s&axis=seconds&zoom=1%2C2")
  keepInAddress("zoom", null)
  page.history.replaceState({}, "", "/a/run?id=s&axis=step&zoom=1,2")
  assert.equal(page.words(), "?id=s&axis=seconds")
})

test("the server's own words are its own, and are taken away with it", () => {
  const page = browser("http://host/gallery?recipe=a&reproduction=b")
  keepInAddress("view", "score")
  page.history.pushState({}, "", "/gallery?recipe=c")
  assert.equal(page.words(), "?recipe=c&view=score")
})

test("the same place is not a step back", () => {
  const page = browser("http://host/run?id=r")
  keepInAddress("axis", "seconds")
  page.calls.length = 0
  page.history.pushState({}, "", "/run?id=r")
  page.history.pushState({}, "", "/run?id=s")
  assert.deepEqual(page.calls, ["replace", "push"])
})

test("another page begins with what its link says", () => {
  const page = browser("http://host/run?id=r")
  keepInAddress("axis", "seconds")
  page.history.pushState({}, "", "/compare?runs=r&axis=joules")
  assert.equal(page.words(), "?runs=r&axis=joules")
  page.history.pushState({}, "", "/runs")
  assert.equal(page.words(), "")
})

test("a page that Streamlit served by itself keeps its address too", () => {
  const page = browser("http://host/run?id=r")
  delete globalThis.window.basinKeep
  keepInAddress("axis", "seconds")
  assert.equal(page.words(), "?id=r&axis=seconds")
})
