// Owns: tests of a listener that the system gives no descriptors.

import Glibc
import Testing

@testable import ClusterIO

@Suite("Listening without descriptors") struct ListenerTests {
  @Test("a listener that runs out of files rests between tries, and lets in who has waited when there are some again")
  func exhausted() throws {
    let loop = try EventLoop()
    var accepted: [Connection] = []
    let listener = try Listener(loop: loop, at: .tcp(host: "127.0.0.1", port: 0)) { accepted.append($0) }
    let usual = listener.acceptOne
    var tries = 0
    listener.acceptOne = { _ in
      tries += 1
      return (-1, EMFILE)
    }
    let client = try Connection.connect(loop: loop, to: listener.address)
    let begin = Clocks.boot()
    #expect(try turn(loop) { tries == 4 })
    // Three rests of 100 ms lie between four tries.
    #expect(Clocks.boot() - begin >= 300_000_000)
    listener.acceptOne = usual
    // A door that is full meanwhile and has room again does not end the rest, and the rest does not open a full door.
    listener.setAccepting(false)
    listener.setAccepting(true)
    #expect(try turn(loop) { accepted.count == 1 })
    #expect(tries == 4)
    client.close()
    for connection in accepted { connection.close() }
    listener.close()
  }
}
