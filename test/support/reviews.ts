// What few-shot learning is timed on, in every runtime.

/** 64 texts of about 20 words, and which of two classes each is of. */
export const REVIEWS = Array.from({ length: 64 }, (_, i) => {
  const [film, time] = [['film', 'plot', 'cast', 'score'][i % 4]!, ['twice', 'once', 'at last'][i % 3]!]
  const said = i % 2 ? 'a joy to watch, warm and funny throughout' : 'a chore to sit through, cold and dull throughout'
  return { text: `I saw number ${i} ${time} with a friend, and we both thought that the ${film} was ${said}.`, label: i % 2 }
})
