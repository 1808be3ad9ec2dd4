// Ids back to a text.

/** Spaces that tokenizing put before punctuation and contractions, taken out: cleanup() of the official library, in its order. */
export function cleanUp(text: string): string {
  for (const [from, to] of CLEANUP) text = text.replaceAll(from, to)
  return text
}

/** What clean_up_tokenization() of transformers does to the joined text: the same without " do not". */
export function cleanUpJoined(text: string): string {
  for (const [from, to] of CLEANUP) if (from !== ' do not') text = text.replaceAll(from, to)
  return text
}

const CLEANUP = [
  [' .', '.'],
  [' ?', '?'],
  [' !', '!'],
  [' ,', ','],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [' do not', " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
] as const

export function joinTokens(tokens: readonly string[], prefix: string, cleanup: boolean): string {
  return tokens
    .map((token, i) => {
      const spaced = i === 0 ? token : token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`
      return cleanup ? cleanUp(spaced) : spaced
    })
    .join('')
}
