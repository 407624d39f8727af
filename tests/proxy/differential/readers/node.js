// node's http module, as it is: what it reads is what every server built on it reads.
const fs = require('fs')
const log = (read) => fs.appendFileSync(process.argv[2], JSON.stringify(read) + '\n')
const server = require('http').createServer((request, answer) => {
  const pieces = []
  request.on('error', () => {}) // cut off: its end never comes
  request.on('data', (piece) => pieces.push(piece))
  request.on('end', () => {
    const host = request.rawHeaders.filter((_, at, all) => at % 2 && all[at - 1].toLowerCase() === 'host')
    log({ method: request.method, target: request.url, host, body: Buffer.concat(pieces).toString('latin1') })
    answer.setHeader('Content-Length', 0)
    answer.end()
  })
})
server.keepAliveTimeout = 0
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
