// Owns: the change of an HTTP connection to another protocol: when it happens, and what the connection is from then on.
// It must not know that protocol: a session speaks it.

import ClusterIO
import ClusterProto

extension HTTPConnection {
  /// An upgraded connection's other side is asked so often whether it is still there.
  private static let keepAliveSeconds: Int32 = 60

  /// The request goes to the core, and asks for another protocol, which `session` speaks.
  func expect(_ session: any UpgradedSession) {
    self.session = session
    expect(.object(member: "items", isBare: false))
    // Whoever opens a stream has a time of his own.
    answerBy = Int64.max
  }

  /// Answers with `head`; from here on `session` has the connection.
  func switchProtocol(_ head: [UInt8]) {
    guard connection.isOpen, let session else { return }
    giveBackRoom()
    answerBy = Int64.max
    stage = .upgraded
    // A client that has gone is to be seen while it is not read, and one whose machine has vanished while it is idle.
    connection.endsUnread = true
    connection.setKeepAlive(seconds: HTTPConnection.keepAliveSeconds)
    connection.send(head)
    connection.setReading(true)
    let early = parser.takeRest()
    if !early.isEmpty { session.receive(early) }
  }

  /// Answers why there is no stream, in the plain words in which a kubelet does it.
  func refuseUpgrade(_ end: PodStreamEnd) {
    let code = end.code == 200 ? 500 : end.code
    answer(code, bytes: Array(end.message.utf8), type: "text/plain; charset=utf-8", retries: code == 429)
  }

  /// When the connection closes; nil: not by itself.
  func setDeadline(_ time: Int64?) { deadline = time ?? Int64.max }

  func send(_ bytes: [UInt8]) { connection.send(bytes) }

  var pendingOutput: Int { connection.pendingOutput }

  func streamClient(of id: Int64) -> (any PodStreamClient)? { session?.streamClient(of: id) }
}
