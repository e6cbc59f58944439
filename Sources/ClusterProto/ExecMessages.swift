// Owns: how a process is started in a container that runs (`kubectl exec`, the commands of probes and hooks), and how
// somebody gets at the input of a container itself (`kubectl attach`): what an agent and its keeper say on
// DATA/exec.sock. One connection there is one process, or one question. Bytes go between the agent and the process by
// descriptors that come with the request, or with the answer: the keeper never holds any of those bytes. It must not
// know who wants it.

/// Agent → keeper, the first message of a connection: start this.
///
/// Three descriptors come with it, the process' standard streams: its ends of pipes, or /dev/null. With `terminal` one
/// comes: a socket on which the terminal's other end is sent back once the process has it.
///
/// The process is one of the container's: in its namespaces, cgroup and root, with its user, groups, capabilities and
/// filter, and with its environment and working directory. It ends when the container ends; it is frozen and killed
/// with its pod. The connection's end kills it, and nothing else: not what it has started.
package struct ExecRequest: Equatable, Sendable {
  /// The pod's attempt.
  package var attempt: AttemptNumber
  /// Name of the container.
  package var container: String
  /// The command, not by a shell; a first word without a slash is searched for in the container's PATH.
  package var arguments: [String]
  /// The size of its terminal, which is its standard input, output and error; nil: it has none, but three streams.
  package var terminal: TerminalSize?

  /// Takes each value as it stands.
  package init(attempt: AttemptNumber, container: String, arguments: [String], terminal: TerminalSize? = nil) {
    self.attempt = attempt
    self.container = container
    self.arguments = arguments
    self.terminal = terminal
  }

  /// Most bytes of a request as JSON.
  package static let limit = 128 * 1024
}

/// A terminal's size in characters.
package struct TerminalSize: Equatable, Sendable {
  /// Characters of a line.
  package var columns: UInt16
  /// Lines.
  package var rows: UInt16

  /// Takes both as they stand.
  package init(columns: UInt16, rows: UInt16) {
    self.columns = columns
    self.rows = rows
  }

  /// Until a client has said the size of its own.
  package static let usual = TerminalSize(columns: 80, rows: 24)

  /// Says in an environment (`NAME=value` each) what a terminal can do, as runtimes do; its own word on it stands.
  package static func name(in environment: inout [String]) {
    if !environment.contains(where: { $0.hasPrefix("TERM=") }) { environment.append("TERM=xterm") }
  }
}

/// Agent → keeper, the first message of a connection: hand over the input of this container.
package struct InputRequest: Equatable, Sendable {
  /// The pod's attempt.
  package var attempt: AttemptNumber
  /// Name of the container.
  package var container: String

  /// Takes each value as it stands.
  package init(attempt: AttemptNumber, container: String) {
    self.attempt = attempt
    self.container = container
  }
}

/// What a container reads and writes, as its manifest has it.
package struct ContainerInput: Equatable, Sendable {
  /// `stdin`: it can be written to.
  package var isOpen = false
  /// `stdinOnce`: it ends with the first who wrote to it. A terminal does not: it would take the output along.
  package var isOnce = false
  /// `tty`: its standard streams are a terminal.
  package var isTerminal = false

  /// Neither an input nor a terminal.
  package init() {}

  /// Whether it ends for good with the first who wrote to it.
  package var endsWithFirst: Bool { isOnce && !isTerminal }
}

/// Keeper → agent: `started` and then an end, or an end alone. The keeper closes the connection behind an end; a
/// connection that closes without one (the keeper died, and the pod with it) is `ExecEnd.gone`.
package enum ExecReply: Equatable, Sendable {
  /// To an `InputRequest`, and its end: what the container has. With it comes the other side of the terminal, or the
  /// writing end of the input; nothing where there is neither, or where the one who had it first has had it for good:
  /// closing that one ends the input.
  case input(ContainerInput)
  /// The command runs.
  case started
  /// It runs no more, or never did.
  case ended(ExecEnd)
}

/// How a process that was to be started in a container ended.
package enum ExecEnd: Equatable, Sendable {
  /// Its exit code; of one that a signal ended 128 + the signal, as kubelet gives it.
  case exited(code: Int64)
  /// It was not started: why, in a word, and for people.
  case refused(ExecRefusal, message: String)
  /// Its command could not be run: 126 (may not), 127 (is not there) or 128 (else), and why, in a runtime's words.
  case failed(code: Int64, message: String)
  /// The pod ended, and the process with it, before anybody could say more.
  case gone
}

/// Why no process is started.
package enum ExecRefusal: String, Equatable, Sendable, CaseIterable {
  /// The keeper does not hold this attempt, or it has no such container.
  case notFound
  /// The container has not started or has ended, or its pod is being killed.
  case notRunning
  /// The pod stands still, since its node's lease is over (rule K3).
  case frozen
  /// As many as may run in one pod at once do already (`ExecLimit.processes`).
  case busy
  /// The request cannot be read.
  case invalid
}

/// What is bounded of processes that are started in containers.
package enum ExecLimit {
  /// Most of them in one pod at once, probes and hooks not counted.
  package static let processes = 32
}
