// Reads the golden files that test/golden/generate.py wrote.
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { readSafetensors, type GoldenTensor } from './safetensors.ts'

export type { GoldenTensor }

export interface Golden {
  readonly folder: string
  readonly json: Record<string, unknown>
  readonly tensors: ReadonlyMap<string, GoldenTensor>
}

export async function readGolden(name: string): Promise<Golden> {
  const folder = path.join(import.meta.dirname, '../golden', name)
  const json = JSON.parse(await readFile(path.join(folder, 'golden.json'), 'utf8')) as Record<string, unknown>
  return { folder, json, tensors: readSafetensors(await readFile(path.join(folder, 'golden.safetensors'))) }
}
