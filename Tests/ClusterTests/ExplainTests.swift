// `stint explain`: laid out as kubectl does it. The conformance run shows kubectl's own from the same texts.

import ClusterProto
import Testing

@testable import stint

@Suite("Fields are explained")
struct ExplainTests {
  private static func explained(_ words: String...) -> (FakeCluster, Int32) {
    let cluster = FakeCluster()
    let status = cluster.run(["explain"] + words) { _ in [] }
    return (cluster, status)
  }

  @Test("a field has its type, its text and its own fields, and no cluster is asked")
  func field() {
    let (cluster, status) = Self.explained("pod.spec.containers.env")
    #expect(status == 0 && cluster.asked.isEmpty, "\(cluster.err)")
    #expect(
      cluster.out == """
        KIND:       Pod
        VERSION:    v1

        FIELD: env <[]EnvVar>


        DESCRIPTION:
            Variables; they win over envFrom.
            EnvVar is one variable.
        \("    ")
        FIELDS:
          name\t<string> -required-
            The variable's name.

          value\t<string>
            Its value. $(NAME) stands for a variable before it.

          valueFrom\t<EnvVarSource>
            Where its value comes from; not beside value.



        """)
  }

  @Test("a kind has its group; quantities are texts, maps and lists say of what; all fields can be had at once")
  func kinds() {
    #expect(
      Self.explained("jobs").0.out.hasPrefix("GROUP:      batch\nKIND:       Job\nVERSION:    v1\n\nDESCRIPTION:\n"))
    #expect(Self.explained("pod.spec.containers.resources").0.out.contains("\n  limits\t<map[string]string>\n"))
    let all = Self.explained("cronjob", "--recursive").0.out
    #expect(all.contains("\n  spec\t<CronJobSpec>\n    concurrencyPolicy\t<string>\n"))
    #expect(all.contains("\n              image\t<string>\n"))
  }

  @Test("what is not there is an error below the kind; every kind that is served has its text")
  func unknown() {
    let (cluster, status) = Self.explained("job.spec.nosuch")
    #expect(status == 1 && cluster.err == "error: field \"nosuch\" does not exist\n")
    #expect(cluster.out == "GROUP:      batch\nKIND:       Job\nVERSION:    v1\n\n")
    #expect(Self.explained("nosuch").0.err.contains("the server doesn't have a resource type \"nosuch\""))
    for kind in Kind.allCases {
      let (cluster, status) = Self.explained(kind.plural)
      #expect(status == 0 && cluster.out.contains("FIELDS:\n"), "\(kind)")
      #expect(!cluster.out.contains("<empty>"), "\(kind)")
    }
  }
}
