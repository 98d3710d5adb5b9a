// Answers kept with a run: read from its folder, their frames unpacked.

import { unpack } from "./frames.js"

/** The answer `name` of a run, `frames` as {header, arrays}. Throws with the server's words. */
export async function readAnswer({ run, name, token }) {
  const query = new URLSearchParams({ run, name: `answers/${name}.json`, token })
  const response = await fetch(`live/file?${query}`)
  if (!response.ok) throw new Error(await response.text())
  const answer = await response.json()
  const bytes = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0))
  return { ...answer, frames: answer.frames.map((text) => unpack(bytes(text).buffer)) }
}
