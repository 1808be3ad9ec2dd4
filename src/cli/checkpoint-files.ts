// The files of a checkpoint folder that commands write.
import { mkdir, open, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Source } from '../index.node.ts'

/** What belongs to a checkpoint beside its config and weights: tokenizers, and what sentence-transformers knows of pooling. */
const BESIDE = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.txt',
  'modules.json',
  'config_sentence_transformers.json',
  'sentence_bert_config.json',
  '1_Pooling/config.json',
]

/** Bytes that are copied at a time. */
const PIECE = 1 << 22

export async function copyBeside(source: Source, to: string, signal: AbortSignal, more: readonly string[] = []): Promise<void> {
  for (const name of [...more, ...BESIDE]) {
    const text = await source.text(name, { signal })
    if (text === undefined) continue
    await mkdir(path.dirname(path.join(to, name)), { recursive: true })
    await writeFile(path.join(to, name), text)
  }
}

/** Copies a file of any size. */
export async function copyFile(source: Source, from: string, to: string, signal: AbortSignal): Promise<void> {
  const reader = (await source.open(from, { signal }))!
  const file = await open(to, 'w')
  try {
    for (let at = 0; at < reader.size; at += PIECE) {
      signal.throwIfAborted()
      await file.writeFile(await reader.read(at, Math.min(at + PIECE, reader.size)))
    }
  } finally {
    await Promise.all([file.close(), reader.close()])
  }
}
