import { expected } from '../errors.ts'
import { checkFileName } from './source.ts'

/** Whether a text can be the id of a repository: `org/name`, or the single name of an old one. */
export function isHubId(text: string): boolean {
  const part = /^[A-Za-z0-9_](?:[\w.-]*[\w-])?$/
  const parts = text.split('/')
  return parts.length <= 2 && parts.every((name) => part.test(name) && name.length <= 96 && !/--|\.\./.test(name))
}

export function checkHubName(id: string, { revision, subfolder }: { readonly revision: string; readonly subfolder: string }): void {
  if (!isHubId(id)) throw expected('model', 'a hub id, org/name', id)
  if (revision.split('/').some((part) => part === '' || /^\.+$/.test(part)) || /[\\:\s]/.test(revision))
    throw expected('revision', 'a branch, tag or commit', revision)
  if (subfolder !== '') checkFileName(subfolder)
}
