// Words on a canvas.

/** Cut words to a width in pixels, in the context's font. */
export function cut(context, words, width) {
  if (context.measureText(words).width <= width) return words
  let text = words
  while (text && context.measureText(`${text}…`).width > width) text = text.slice(0, -1)
  return `${text}…`
}
