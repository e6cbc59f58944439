// What a run may do without: the parts of a world that a seed draws, each of which can be left out, so that what is
// wrong can be shown with little. Knows the parts' names; what they do is elsewhere.

import ClusterProto

/// A part of a simulated world.
package enum WorldPart: String, CaseIterable, Sendable {
  /// Faults that strike one at a time.
  case coordinatorCrash, coordinatorCommitCrash, coordinatorStop, coordinatorPause, agentStopThenCut, agentCrash
  case keeperCrash, machineCrash, agentStop, machineStop, cut, halfOpen, partition, oneWayPartition, wallJump, disk
  case forgedNumbers
  /// Doubles of nodes, restores of backups, exchanges of the authority.
  case doubles, restores, exchanges
  /// What users do beside plain Jobs.
  case owners, crons, waiting
  /// What some worlds have beside.
  case images, pressure, checks, debuggers
}

/// What is left out of a run.
package struct SimulationCut: Equatable, Sendable {
  /// In the order in which they were taken out.
  package var parts: [WorldPart] = []
  /// At most so many nodes; nil: as the seed draws.
  package var nodes: Int?

  /// Nothing.
  package init() {}

  /// Whether the world has that part.
  func keeps(_ part: WorldPart) -> Bool { !parts.contains(part) }

  /// As `--without` of the command line has it; nil: there is no such part.
  package init?(text: String) {
    for word in text.split(separator: ",") {
      if word.hasPrefix("nodes>"), let nodes = Int(word.dropFirst(6)), nodes > 0 {
        self.nodes = nodes
      } else if let part = WorldPart(rawValue: String(word)) {
        parts.append(part)
      } else {
        return nil
      }
    }
  }

  /// The same as text; empty: nothing is left out.
  package var text: String {
    (parts.map(\.rawValue) + (nodes.map { ["nodes>\($0)"] } ?? [])).joined(separator: ",")
  }
}
