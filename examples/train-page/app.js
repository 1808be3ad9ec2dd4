// A page that learns what its user tells it. The work is done in worker.js; the page shows how far it is, and offers the adapter's files.
const worker = new Worker('worker.js', { type: 'module' })
const at = (id) => document.getElementById(id)
const [examples, state, progress, said, files] = ['examples', 'state', 'progress', 'said', 'files'].map(at)

examples.value = [
  'good\ta lovely film, warm and funny',
  'good\tI would see it again',
  'bad\tdull from start to end',
  'bad\ta waste of time',
].join('\n')

function working(now) {
  for (const task of ['few-shot', 'train']) at(task).disabled = now
  at('stop').disabled = !now
}

let began
function begin(task) {
  const rows = examples.value.trim().split('\n').map((line) => line.split('\t')) // prettier-ignore
  began = performance.now()
  files.replaceChildren()
  said.value = ''
  state.textContent = 'Working'
  working(true)
  worker.postMessage({ task, labels: rows.map(([label]) => label), texts: rows.map(([, text]) => text) })
}
for (const task of ['few-shot', 'train']) at(task).addEventListener('click', () => begin(task))
at('stop').addEventListener('click', () => worker.postMessage({ task: 'stop' }))
const classify = () => worker.postMessage({ task: 'classify', texts: [at('text').value] })
at('text').addEventListener('change', classify)

const answers = {
  step({ step, steps, loss }) {
    Object.assign(progress, { value: step, max: steps })
    state.textContent = `Step ${step} of ${steps}, loss ${loss.toFixed(4)}`
  },
  done({ files: saved }) {
    const items = Object.entries(saved).map(([name, blob]) => {
      const item = document.createElement('li')
      item.append(Object.assign(document.createElement('a'), { href: URL.createObjectURL(blob), download: name, textContent: name }))
      return item
    })
    files.replaceChildren(...items)
    state.dataset.ms = Math.round(performance.now() - began)
    end('Done')
    classify()
  },
  // Nine digits tell a float32 exactly.
  classified({ scores: [row], labels }) {
    said.value = row.map((score, i) => `${labels[i]} ${score.toPrecision(9)}`).join(', ')
  },
  stopped: () => end('Stopped'),
  failed: ({ message }) => end(message),
}
function end(how) {
  state.textContent = how
  working(false)
}
worker.addEventListener('message', ({ data }) => answers[data.type](data))
