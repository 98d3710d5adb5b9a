import assert from "node:assert/strict"
import { test } from "node:test"

globalThis.window = { location: { href: "http://here/runs" } }
const { Live } = await import("../../../dashboard/live/stream/socket.js")

/** What is said of a line on which no WebSocket opens, and polls are answered by `poll`. */
async function heard(poll, enough) {
  globalThis.WebSocket = class {
    constructor() {
      setTimeout(() => this.onclose())
    }
  }
  globalThis.fetch = async (address) =>
    String(address).includes("live/poll") ? poll() : { ok: true }
  const said = []
  await new Promise((resolve) => {
    const live = new Live("a token", {
      connection: (state) => {
        said.push(state)
        if (enough(said)) {
          live.close()
          resolve()
        }
      },
    })
  })
  return said
}

test("a line that is refused is never said to be there, and is asked ever more seldom", async () => {
  const words = "The page's token has run out: load the page again."
  const refusal = { ok: false, status: 403, text: async () => words }
  const said = await heard(
    () => refusal,
    (all) => all.filter(({ isRefused }) => isRefused).length === 2,
  )
  assert.ok(said.every(({ open }) => !open))
  const refused = said.filter(({ isRefused }) => isRefused)
  assert.deepEqual(
    refused.map(({ reason }) => reason),
    [words, words],
  )
  assert.ok(refused[0].retryIn < refused[1].retryIn)
})

test("polls are said to be the way once one is answered", async () => {
  let answers = 0
  const said = await heard(
    () => {
      answers += 1
      return { ok: true, arrayBuffer: async () => new ArrayBuffer(0) }
    },
    (all) => all.at(-1).open,
  )
  assert.deepEqual(said.at(-1), { open: true, polling: true })
  assert.equal(answers, 1)
})
