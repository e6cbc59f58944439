// An agent that runs as another user than the tests: what that user must own and may reach.

import ClusterIO
import Glibc
import NodeAgent

@testable import stint

extension TestCluster {
  /// Lets another user have what the node needs; the front of a command that runs as that user. Root only.
  func giveAway(_ name: String, to user: UInt32) throws -> [String] {
    let node = dataDirectory(name)
    try issue(name)
    try Files.writeAtomically(ledgerPath, [])
    let identity = NodePaths(data: node).identity
    let own = try Files.list(identity).map { "\(identity)/\($0)" } + [identity]
    for path in [node, ledgerPath] + own { chown(path, user, user) }
    for path in [directory, "\(directory)/agents", "\(directory)/ledger"] { chmod(path, 0o755) }
    let program = "\(directory)/stint"
    // Not written by this process: a child that another test has just forked would hold the descriptor (ETXTBSY).
    let copy = try Program(
      ["--preserve=mode", Processes.program, program], path: "/bin/cp", output: "\(directory)/logs/copy")
    try checkEqual(copy.end(within: 60), 0, "the exit status of cp")
    return ["/usr/bin/setpriv", "--reuid=\(user)", "--regid=\(user)", "--clear-groups", program]
  }
}
