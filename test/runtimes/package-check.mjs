// What publint and Are The Types Wrong find in a tarball, as one line of JSON: node package-check.mjs bertlet.tgz
import { readFile } from 'node:fs/promises'
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'

const tarball = await readFile(process.argv[2])
const { messages, pkg } = await publint({
  pack: { tarball: tarball.buffer.slice(tarball.byteOffset, tarball.byteOffset + tarball.length) },
})
const { problems } = await checkPackage(createPackageFromTarballData(tarball))
// The package is ESM, as its type says: a CommonJS module loads it by import(), or by require() where Node has that for ESM.
const wrong = problems.filter(({ kind, resolutionKind }) => kind !== 'CJSResolvesToESM' && resolutionKind !== 'node10')
console.log(JSON.stringify([...messages.map((message) => formatMessage(message, pkg)), ...wrong]))
