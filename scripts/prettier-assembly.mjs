// Prettier for assembly/. AssemblyScript puts decorators on functions and variables, which no TypeScript parser of Prettier accepts: they are
// handed to it as comments on lines of their own, and printed as decorators again.
import { printers as estree } from 'prettier/plugins/estree'
import { parsers as typescript } from 'prettier/plugins/typescript'

const MARK = '//@decorator '
const DECORATOR = /^[ \t]*@(inline|unmanaged|final|global|lazy|unsafe|builtin|external(?:\.js)?|operator(?:\.\w+)?)\b(\([^()\n]*\))?[ \t]*/

/** Every leading decorator of a line becomes a marked comment. */
function mask(text) {
  return text
    .split('\n')
    .map((line) => {
      const decorators = []
      let rest = line
      for (let found; (found = DECORATOR.exec(rest)); rest = rest.slice(found[0].length))
        decorators.push(MARK + found[1] + (found[2] ?? ''))
      if (decorators.length === 0) return line
      return [...decorators, ...(rest === '' ? [] : [rest])].join('\n')
    })
    .join('\n')
}

/** @type {import('prettier').Plugin} */
export default {
  languages: [{ name: 'AssemblyScript', parsers: ['assemblyscript'] }],
  parsers: { assemblyscript: { ...typescript.typescript, astFormat: 'assemblyscript', preprocess: mask } },
  printers: {
    assemblyscript: {
      ...estree.estree,
      printComment(path, options) {
        const text = options.originalText.slice(options.locStart(path.node), options.locEnd(path.node))
        return text.startsWith(MARK) ? '@' + text.slice(MARK.length) : estree.estree.printComment(path, options)
      },
    },
  },
}
