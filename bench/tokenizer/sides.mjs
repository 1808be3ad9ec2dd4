// Each side: from the text of a tokenizer.json to a function of texts that gives their ids, special tokens included.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'

// The binding works on batches with all cores otherwise.
process.env.RAYON_NUM_THREADS = '1'
process.env.TOKENIZERS_PARALLELISM = 'false'
const BATCH = 64
const here = import.meta.dirname
const require = createRequire(path.join(here, 'index.js'))
const versionOf = (name) => {
  try {
    return JSON.parse(readFileSync(path.join(here, 'node_modules', name, 'package.json'), 'utf8')).version
  } catch {
    return ''
  }
}
const batches = function* (texts) {
  for (let i = 0; i < texts.length; i += BATCH) yield texts.slice(i, i + BATCH)
}

export const SIDES = {
  bertlet: {
    version: JSON.parse(readFileSync(path.join(here, '../../package.json'), 'utf8')).version,
    async load(json) {
      const { Tokenizer } = await import('../../dist/index.node.js')
      const tokenizer = Tokenizer.fromFiles({ 'tokenizer.json': json })
      return async (texts) => {
        const rows = []
        for (const batch of batches(texts)) rows.push(...tokenizer(batch).input_ids)
        return rows
      }
    },
  },
  '@huggingface/tokenizers': {
    version: versionOf('@huggingface/tokenizers'),
    async load(json) {
      const { Tokenizer } = await import('@huggingface/tokenizers')
      const tokenizer = new Tokenizer(JSON.parse(json), {})
      return async (texts) => texts.map((text) => tokenizer.encode(text).ids)
    },
  },
  'tokenizers (native)': {
    version: versionOf('tokenizers'),
    async load(json) {
      const tokenizer = require('tokenizers').Tokenizer.fromString(json)
      return async (texts) => {
        const rows = []
        for (const batch of batches(texts)) for (const encoding of await tokenizer.encodeBatch(batch)) rows.push(encoding.getIds())
        return rows
      }
    },
  },
}
