// Owns: `backup` and `restore`: which file and which data directory, and what is said when it is done.
// It must not know what a backup holds.

import ClusterIO
import ClusterProto
import Coordinator

/// `stint backup` and `stint restore`: they work on files of this machine, not over the network.
enum BackupCommand {
  @Sendable static func backup(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    if arguments.words.first == "-" {
      throw arguments.problem("a backup is not written to a stream: name a file, then copy that")
    }
    let file = ServeCommand.absolute(arguments.words.first ?? "")
    let data = ServeCommand.absolute(arguments.value("data") ?? Endpoint.dataDirectory(context.environment))
    let own = Files.exists("\(data)/stint.db") ? data : "\(data)/coordinator"
    do throws(StoreError) {
      let made = try StoreBackup.make(
        of: Files.exists("\(own)/stint.db") ? own : data, at: file, program: Version.current)
      context.console.line(
        "\(file) holds cluster \(made.cluster) as of \(made.time.rfc3339), \(made.rows) rows. It is secret: the "
          + "cluster's authority and all Secrets are in it.")
      return 0
    } catch {
      throw CommandError("error: \(error)")
    }
  }

  @Sendable static func restore(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    let file = ServeCommand.absolute(arguments.words.first ?? "")
    guard let data = arguments.value("data"), !data.isEmpty else { throw arguments.problem("--data is required") }
    let directory = ServeCommand.absolute(data)
    if let exposure = PrivateFiles.exposure(of: "the cluster's authority and all Secrets", in: file) {
      context.console.note("Warning: \(exposure). Whoever has read it can be anybody in the cluster")
    }
    do throws(StoreError) {
      let made = try StoreRestore.restore(file, into: directory)
      context.console.line(
        "\(directory) holds cluster \(made.cluster) as of \(made.time.rfc3339); what was done since is not in it.")
      context.console.line(
        "Make sure that no other coordinator of this cluster runs any more, then start this one: stint coordinator "
          + "--data \(directory). For about ten minutes it gives no pod a node, in which what a newer store has "
          + "started comes to its end; what runs and is in the backup goes on.")
      return 0
    } catch {
      throw CommandError("error: \(error)")
    }
  }
}
