// Lines of text in constant memory.
import { BertletError } from '../errors.ts'

/** A line beyond this is no text, and must not fill memory. */
const LONGEST_LINE = 1 << 24

/** The lines that each chunk completes. The end of a line is LF or CR LF; the last line may lack it. A byte order mark is dropped. */
export async function* lines(chunks: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<string[]> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of chunks) {
    const parts = decoder.decode(chunk, { stream: true }).split('\n')
    parts[0] = rest + parts[0]!
    rest = parts.pop()!
    if (rest.length > LONGEST_LINE) {
      throw new BertletError('invalid_file', `${name}: a line has more than ${LONGEST_LINE} characters`, 'Write one text a line')
    }
    if (parts.length > 0) yield parts.map(withoutReturn)
  }
  rest += decoder.decode()
  if (rest !== '') yield [withoutReturn(rest)]
}

const withoutReturn = (line: string): string => (line.endsWith('\r') ? line.slice(0, -1) : line)

/** The same bytes, checked: a file in another encoding must not become a dataset of question marks. */
export async function* utf8(chunks: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<Uint8Array> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const check = (chunk?: Uint8Array): void => {
    try {
      decoder.decode(chunk, { stream: chunk !== undefined })
    } catch (cause) {
      throw new BertletError('invalid_file', `${name}: expected UTF-8, got bytes that are none`, 'Convert it, for example with iconv', {
        cause,
      })
    }
  }
  for await (const chunk of chunks) {
    check(chunk)
    yield chunk
  }
  check()
}
