// A disk that is really full while a checkpoint is saved.
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { BertForSequenceClassification } from '../src/index.node.ts'
import { Trainer } from '../src/training.ts'
import { memorySource } from '../src/weights/source.ts'
import { checkpoint, sequences } from './support/models.ts'
import { skipCase } from './support/runtimes/conforms.ts'
import { smallDisk } from './support/small-disk.ts'

const train_dataset = sequences(20, { longest: 12, seed: 5 }).map((input_ids) => ({ input_ids, label: input_ids[0]! % 3 }))
const files = checkpoint({ hidden_size: 24, intermediate_size: 40 })

async function train(output_dir: string, resume_from_checkpoint = false): Promise<number> {
  const model = await BertForSequenceClassification.fromPretrained(memorySource(files, 'tiny'), {
    threads: 0,
    initialize_missing: true,
    num_labels: 3,
    seed: 2,
  })
  try {
    const args = { output_dir, max_steps: 6, save_steps: 2, logging_steps: 1, per_device_train_batch_size: 4 }
    return (await new Trainer({ model, args, train_dataset }).train({ resume_from_checkpoint })).global_step
  } finally {
    await model.dispose()
  }
}

const roomy = await mkdtemp(path.join(tmpdir(), 'bertlet-roomy-'))
afterAll(() => rm(roomy, { recursive: true, force: true }))

it('the file and how far it came are told, what was whole stands, and with room again training ends in the bits of one that never stopped', async (context) => {
  expect(await train(roomy)).toBe(6)
  const whole = path.join(roomy, 'checkpoint-2')
  const sizes = await Promise.all((await readdir(whole)).map(async (file) => (await stat(path.join(whole, file))).size))
  const one = sizes.reduce((sum, size) => sum + size, 0)
  const weights = (await stat(path.join(whole, 'model.safetensors'))).size
  // Room for one checkpoint and the weights of the next, then for one and a part of the weights.
  for (const [room, file] of [
    [one + weights + (one - weights) / 2, 'optimizer.safetensors'],
    [one + weights / 2, 'model.safetensors'],
  ] as const) {
    const disk = smallDisk(Math.ceil(room / 4096) * 4096)
    // trainer.test.ts has a disk that says it is full.
    if (typeof disk === 'string') return skipCase(context, disk)
    try {
      await expect(train(disk.folder)).rejects.toMatchObject({
        code: 'write_failed',
        message: expect.stringMatching(
          new RegExp(
            `checkpoint-4/${file.replace('.', '\\.')}, got ENOSPC.* within its first \\d+ bytes\\. Free some space or set save_total_limit`,
          ),
        ) as string,
        cause: expect.objectContaining({ code: 'ENOSPC' }) as Error,
      })
      expect((await readdir(disk.folder)).sort()).toEqual(['checkpoint-2', 'log.jsonl'])
      for (const name of ['model.safetensors', 'optimizer.safetensors', 'config.json']) {
        const [a, b] = await Promise.all([whole, path.join(disk.folder, 'checkpoint-2')].map((folder) => readFile(path.join(folder, name))))
        expect(a!.equals(b!), name).toBe(true)
      }
      // Still no room: the same error, and the same checkpoint.
      await expect(train(disk.folder, true)).rejects.toMatchObject({ code: 'write_failed' })
      expect(existsSync(path.join(disk.folder, 'checkpoint-2'))).toBe(true)
      disk.resize(4 * one)
      expect(await train(disk.folder, true)).toBe(6)
      const [a, b] = await Promise.all([roomy, disk.folder].map((folder) => readFile(path.join(folder, 'checkpoint-6/model.safetensors'))))
      expect(a!.equals(b!)).toBe(true)
    } finally {
      disk.remove()
    }
  }
})
