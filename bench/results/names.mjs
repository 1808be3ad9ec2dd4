// Words with tags out of plain text: names, by the capitals that edited English gives them. What is asked of a model then is to find them in lower case.
//
// Text as WikiText has it: an article under ` = Title = `, a paragraph a line, words apart by spaces. A run of capitalised words is a name, B-NAME and
// I-NAME. A sentence's first word says nothing by its capital: it is a name if it has one elsewhere more often than not. Sentences with <unk>, which
// stands for rare words, mostly names, are left out.

const SENTENCE = /(?<=\s[.!?]) /
const HEADING = /^ = [^=]+ =\s*$/
const isCapitalised = (word) => /^\p{Lu}[\p{L}\p{N}.'’-]*$/u.test(word) && word !== 'I' && word !== 'A'

/** Articles of sentences { words, tags }, words in lower case. */
export function namedSentences(text) {
  const articles = []
  for (const line of text.split('\n')) {
    if (HEADING.test(line)) articles.push([])
    if (line.startsWith(' =') || line.trim() === '' || articles.length === 0) continue
    for (const sentence of line.trim().split(SENTENCE)) {
      const words = sentence.split(' ').filter((word) => word !== '')
      if (words.length >= 4 && !words.includes('<unk>')) articles.at(-1).push(words)
    }
  }
  const often = new Map()
  for (const words of articles.flat())
    for (const word of words.slice(1)) {
      const counts = often.get(word.toLowerCase()) ?? [0, 0]
      counts[isCapitalised(word) ? 1 : 0]++
      often.set(word.toLowerCase(), counts)
    }
  const first = (word) => {
    const [lower, upper] = often.get(word.toLowerCase()) ?? [1, 0]
    return upper > lower
  }
  return articles.map((sentences) =>
    sentences.map((words) => {
      const names = words.map((word, i) => isCapitalised(word) && (i > 0 || first(word)))
      const tags = names.map((name, i) => (name ? (names[i - 1] ? 'I-NAME' : 'B-NAME') : 'O'))
      return { words: words.map((word) => word.toLowerCase()), tags }
    }),
  )
}
