// Ours beside the official library: generated texts over the whole of Unicode. One million of them: npm run prove:tokenizer
import { beforeAll, describe, expect, it } from 'vitest'
import { bertSides, differences, ensureOracle, type Library } from './support/tokenizer-oracle.ts'
import { texts } from './support/tokenizer-texts.ts'

const COUNT = 20_000
let library: Library
beforeAll(async () => void (library = await ensureOracle()))

describe(`ids, type ids, offsets, word ids and special tokens of ${COUNT} generated texts`, () => {
  it.each([0, 1, 2])('vocabulary %i', async (i) => {
    expect(await differences(bertSides(library)[i]!, texts(COUNT, 20261124 + i))).toEqual([])
  })
})
