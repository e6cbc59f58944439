// Owns: how an HTTPS connection answers with a file of the page. It must not know which files there are.

import ClusterIO

extension HTTPConnection {
  /// Answers at once. A file is small: it goes out whole.
  func answer(page answer: PageAnswer) {
    guard connection.isOpen else { return }
    giveBackRoom()
    output.turns.spend(answer.bytes.count)
    let head = output.head(
      answer.code, type: answer.type, length: answer.code == 304 ? nil : answer.bytes.count, close: isLast,
      isGzip: answer.isGzip, lines: answer.lines)
    connection.send(isHead ? head : head + answer.bytes)
    done()
  }
}
