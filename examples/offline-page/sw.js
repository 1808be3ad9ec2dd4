// Keeps every file of this folder that was asked for, and answers with it where the server does not.
const KEPT = 'search-1'

addEventListener('install', (event) => event.waitUntil(keep(['./', 'app.js']).then(() => skipWaiting())))
addEventListener('activate', (event) => event.waitUntil(clients.claim()))
addEventListener('fetch', (event) => {
  if (event.request.method === 'GET' && !event.request.headers.has('range')) event.respondWith(answer(event.request))
})

async function keep(files) {
  return (await caches.open(KEPT)).addAll(files)
}

async function answer(request) {
  const kept = await caches.match(request)
  if (kept !== undefined) return kept
  // A checkpoint need not have every file that is asked for: those are not here offline either.
  const response = await fetch(request).catch(() => new Response(null, { status: 404 }))
  if (response.ok) (await caches.open(KEPT)).put(request, response.clone())
  return response
}
