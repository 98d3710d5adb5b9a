import assert from "node:assert/strict"
import { test } from "node:test"

globalThis.document = {
  createElement: () => ({
    append() {},
    setAttribute(name, value) {
      this[name] = value
    },
  }),
}
const { Bell } = await import("../../../dashboard/live/parts/bell.js")

/** A browser whose person answers `permission` when asked, and what it was told to show. */
function browser(permission) {
  const shown = []
  const kept = new Map()
  class Notification {
    static permission = "default"
    static async requestPermission() {
      Notification.permission = permission
    }
    constructor(title, { body, tag }) {
      shown.push({ title, body, tag })
    }
  }
  const localStorage = {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (k, v) => kept.set(k, v),
  }
  return { Notification, localStorage, shown }
}

const run = (status) => ({ id: "r", attempt: 2, status, reason: "Because." })

test("the end of a run that was on is told once it was asked for", async () => {
  const here = browser("granted")
  const bell = new Bell(here)
  bell.follow(run("running"), "ring")
  assert.equal(bell.button.hidden, false)
  await bell.turn()
  bell.follow(run("finished"), "ring")
  bell.follow(run("finished"), "ring")
  assert.deepEqual(here.shown, [{ title: "ring: finished", body: "Because.", tag: "basin-r-2" }])
  assert.equal(bell.button.hidden, true)
})

test("nothing is told that nobody asked for, or that had ended before", async () => {
  const here = browser("granted")
  const bell = new Bell(here)
  bell.follow(run("running"), "ring")
  bell.follow(run("diverged"), "ring")
  assert.deepEqual(here.shown, [])
  await bell.turn()
  const late = new Bell(here)
  late.follow(run("lost"), "ring")
  assert.deepEqual(here.shown, [])
})

test("a second press turns it off, and a refusal hides it", async () => {
  const here = browser("granted")
  const bell = new Bell(here)
  await bell.turn()
  assert.equal(bell.isOn, true)
  await bell.turn()
  assert.equal(bell.isOn, false)
  const refused = new Bell(browser("denied"))
  refused.follow(run("running"), "ring")
  await refused.turn()
  assert.equal(refused.button.hidden, true)
  const without = new Bell({ localStorage: here.localStorage })
  without.follow(run("running"), "ring")
  assert.equal(without.button.hidden, true)
})

test("a browser that keeps nothing, as in a frame, is not asked to tell", () => {
  const framed = {
    Notification: browser("granted").Notification,
    get localStorage() {
      throw new Error("Access is denied for this document.")
    },
  }
  const bell = new Bell(framed)
  bell.follow(run("running"), "ring")
  bell.follow(run("finished"), "ring")
  assert.equal(bell.button.hidden, true)
})
