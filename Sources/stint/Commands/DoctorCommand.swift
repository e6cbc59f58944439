// Owns: `doctor`: which looks are taken, and the answer's form. It must not judge what is found (MachineChecks,
// ClusterChecks).

import ClusterIO
import ClusterProto

/// `stint doctor`.
enum DoctorCommand {
  @Sendable static func run(_ context: Context) throws -> Int32 {
    var diagnoses = Diagnoses()
    let only = context.arguments.value("only")
    if only != "cluster" {
      let data = context.arguments.value("data").map(ServeCommand.absolute)
      let survey = MachineSurvey.read(data: data, context.environment)
      diagnoses.add("This machine", MachineChecks.all(survey, now: WallTime(nanoseconds: Clocks.now().wall)))
    }
    if only != "machine" { cluster(context, &diagnoses) }
    if context.arguments.value("output") == "json" {
      context.console.line(diagnoses.json.pretty())
    } else {
      context.console.out(diagnoses.text(colours: context.console.colours))
    }
    return diagnoses.exitStatus
  }

  private static func cluster(_ context: Context, _ diagnoses: inout Diagnoses) {
    let endpoint = Endpoint(arguments: context.arguments, environment: context.environment)
    let advice = "name it with --kubeconfig or KUBECONFIG; `stint kubeconfig` prints one on the coordinator's machine"
    do {
      let access = try endpoint.read()
      let survey = ClusterSurvey.read(access, try context.cluster())
      diagnoses.add("The cluster of \(access.file)", ClusterChecks.all(survey))
    } catch {
      let message = (error as? CommandError)?.message ?? "\(error)"
      let words = message.hasPrefix("error: ") ? String(message.dropFirst("error: ".count)) : message
      // Who names none may have none: a node needs no kubeconfig.
      let isNamed = context.arguments.has("only") || endpoint.kubeconfig.isNamed || endpoint.context != nil
      diagnoses.add(
        "The cluster",
        [isNamed ? .problem("kubeconfig", words, advice) : .skipped("kubeconfig", words, advice)])
    }
  }
}

extension KubeconfigSource {
  /// One was said, or is there: a node's own ~/.kube/config may be another cluster's.
  var isNamed: Bool {
    switch self {
    case .file, .list: true
    case .usual(_, let up, let pod): pod != nil || Files.exists(up)
    }
  }
}
