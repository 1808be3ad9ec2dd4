// How tags are derived for measure:tagging.
import { expect, it } from 'vitest'
import { namedSentences } from '../bench/results/names.mjs'

it('names are what capitals say, in lower case', () => {
  const text = ` = Ada =

 Ada Lovelace lived in London . The house of Ada stood there , I think . Houses <unk> stood there .

 = = Heading = =

 There was a U.S. Navy ship . Ada saw it .
 = Other =

 A ship was there too .
`
  expect(namedSentences(text)).toEqual([
    [
      { words: 'ada lovelace lived in london .'.split(' '), tags: ['B-NAME', 'I-NAME', 'O', 'O', 'B-NAME', 'O'] },
      { words: 'the house of ada stood there , i think .'.split(' '), tags: ['O', 'O', 'O', 'B-NAME', 'O', 'O', 'O', 'O', 'O', 'O'] },
      { words: 'there was a u.s. navy ship .'.split(' '), tags: ['O', 'O', 'O', 'B-NAME', 'I-NAME', 'O', 'O'] },
      { words: 'ada saw it .'.split(' '), tags: ['B-NAME', 'O', 'O', 'O'] },
    ],
    [{ words: 'a ship was there too .'.split(' '), tags: ['O', 'O', 'O', 'O', 'O', 'O'] }],
  ])
})
