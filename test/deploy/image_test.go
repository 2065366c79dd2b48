package deploy

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/nameplane/nameplane/test/peer"
)

// stages are those of the Containerfile by their names, and the name of the last, which is built when none is asked for.
func stages(t *testing.T) (byName map[string]string, last string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "Containerfile"))
	if err != nil {
		t.Fatal(err)
	}
	byName = map[string]string{}
	for _, stage := range strings.Split(string(text), "\nFROM ")[1:] {
		first, _, _ := strings.Cut(stage, "\n")
		_, last, _ = strings.Cut(first, " AS ")
		byName[last] = "FROM " + stage
	}
	return byName, last
}

// The images run the program as the user, with the capability and on the ports that the manifests say; the compiler is new
// enough. They cannot be built without a container engine: what is looked at is the text.
func TestContainerfile(t *testing.T) {
	stage, last := stages(t)
	gomod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	wanted := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(gomod)
	if last != "server" {
		t.Errorf("without a target %s would be built", last)
	}
	for _, line := range []string{"FROM golang:" + string(wanted[1]) + "-alpine AS build\n", "CGO_ENABLED=0 go build -trimpath "} {
		if !strings.Contains(stage["build"], line) {
			t.Errorf("build: no %q", line)
		}
	}
	for _, image := range []struct {
		stage, from, file, ports string
		pod                      corev1.PodSpec
	}{
		{stage: "server", from: "FROM scratch ", file: "/nameplane", ports: "EXPOSE 53 53/udp 9153", pod: deployment(t).Spec.Template.Spec},
		{stage: "node", from: "FROM alpine:3 ", file: "/nameplane-node", ports: "EXPOSE 9254", pod: forwarder(t).Spec.Template.Spec},
	} {
		user := strconv.Itoa(int(*image.pod.SecurityContext.RunAsUser))
		capability := "cap_" + strings.ToLower(string(image.pod.Containers[0].SecurityContext.Capabilities.Add[0])) + "=+ep "
		if line := "\nRUN setcap " + capability + image.file + "\n"; !strings.Contains(stage["build"], line) {
			t.Errorf("build: no %q", line)
		}
		for _, line := range []string{
			image.from, "\nCOPY --from=build " + image.file + " /nameplane\n", "\nUSER " + user + ":" + user + "\n",
			"\n" + image.ports + "\n", "\nENTRYPOINT [\"/nameplane\"]\n",
		} {
			if !strings.Contains(stage[image.stage], line) {
				t.Errorf("%s: no %q", image.stage, line)
			}
		}
		if nft := strings.Contains(stage[image.stage], " setcap "+capability+`"$(command -v nft)"`); nft != (image.stage == "node") {
			t.Errorf("%s: nft that may do its work: %t", image.stage, nft)
		}
	}
	if name := forwarder(t).Spec.Template.Spec.Containers[0].Image; !strings.HasPrefix(name, "nameplane/nameplane-node:") {
		t.Errorf("the forwarder runs %s", name)
	}
}

// needRoot skips where capabilities cannot be given away, nor files marked, nor networks made.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("root is wanted, who may mark files and give capabilities away")
	}
	for _, tool := range []string{"setpriv", "unshare", "ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			peer.Missing(t, err.Error())
		}
	}
	if out, err := exec.CommandContext(t.Context(), "unshare", "-n", "true").CombinedOutput(); err != nil {
		t.Skipf("no network namespace can be made here: %v: %s", err, out)
	}
}

// confined are the words before a command that has it run in a network of its own as a container runtime does: by a user, with
// one capability, and with no way to gain more.
func confined(user, capability string) []string {
	return []string{
		"unshare", "-n", "sh", "-c", `ip link set lo up && exec "$@"`, "sh", "setpriv", "--reuid", user, "--regid", user, "--clear-groups",
		"--bounding-set", "-all,+" + capability, "--inh-caps", "-all", "--no-new-privs",
	}
}

// What the Containerfile says of capabilities, by this machine's kernel: which marked file runs for whom.
func TestCapabilitiesOfFiles(t *testing.T) {
	needRoot(t)
	dir := openFolder(t)
	plain, bind, admin := filepath.Join(dir, "plain"), filepath.Join(dir, "bind"), filepath.Join(dir, "admin")
	copyProgram(t, "nft", plain, bind, admin)
	mark(t, bind, unix.CAP_NET_BIND_SERVICE)
	mark(t, admin, unix.CAP_NET_ADMIN)
	for _, test := range []struct {
		name, user, gives, file, fails string
	}{
		{name: "the forwarder", user: "65532", gives: "net_admin", file: admin},
		{name: "root", user: "0", gives: "net_admin", file: admin},
		{name: "root, without a mark", user: "0", gives: "net_admin", file: plain},
		{name: "a mark that got lost", user: "65532", gives: "net_admin", file: plain, fails: "Could not process rule: Operation not permitted"},
		{name: "the server's file for the forwarder", user: "65532", gives: "net_admin", file: bind, fails: "failed to execute"},
		{name: "for root, too", user: "0", gives: "net_admin", file: bind, fails: "failed to execute"},
		{name: "the node's file for the server", user: "65532", gives: "net_bind_service", file: admin, fails: "failed to execute"},
	} {
		t.Run(test.name, func(t *testing.T) {
			command := append(confined(test.user, test.gives), test.file, "add", "table", "ip", "nameplane-test")
			out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput()
			if (err == nil) != (test.fails == "") || !strings.Contains(string(out), test.fails) {
				t.Errorf("%v: %s; want %q", err, out, test.fails)
			}
		})
	}
}

// The forwarder forwards in the kernel as its pod runs it: with the overlay's Corefile, user and capability, and both programs
// marked as in the image.
func TestForwarderInItsSandbox(t *testing.T) {
	needRoot(t)
	pod := forwarder(t).Spec.Template.Spec
	dir := openFolder(t)
	program, nft, path := filepath.Join(dir, "nameplane"), filepath.Join(dir, "nft"), filepath.Join(dir, "Corefile")
	copyProgram(t, peer.Nameplane(t), program)
	copyProgram(t, "nft", nft)
	mark(t, program, unix.CAP_NET_ADMIN)
	mark(t, nft, unix.CAP_NET_ADMIN)
	forwarderCorefiles(t) // sets the variables
	text := strings.Replace(corefileOf(t, forwarderMap), "mode nftables", "mode nftables\n        manifests services.yaml", 1)
	err := errors.Join(os.WriteFile(path, []byte(text), 0o644), os.WriteFile(filepath.Join(dir, "services.yaml"), []byte(markedService), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	command := append(confined(strconv.Itoa(int(*pod.SecurityContext.RunAsUser)), "net_admin"), program, "-conf", path, "-dns.port", "0")
	p, err := peer.Start(dir, command[0], command[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	const line = "all is forwarded mode=nftables services=1 frontends=1 "
	err = p.Await(t.Context(), 20*time.Second, func(context.Context) error {
		if !strings.Contains(p.Tail(30), line) {
			return errors.New("no line " + line)
		}
		return nil
	})
	if err != nil {
		t.Errorf("%v:\n%s", err, p.Tail(30))
	}
}

const markedService = `apiVersion: v1
kind: Node
metadata: {name: node-1}
status: {addresses: [{type: InternalIP, address: 192.0.2.20}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default, labels: {service.kubernetes.io/service-proxy-name: nameplane}}
spec: {clusterIP: 10.96.7.7, ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: default, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.244.1.7], conditions: {ready: true}}]
`

// openFolder is a temporary folder that other users may enter.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nameplane-image-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// copyProgram copies a program under other names.
func copyProgram(t *testing.T, name string, to ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range to {
		if err := os.WriteFile(path, program, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// mark is "setcap CAPABILITY=+ep": the attribute is struct vfs_cap_data, version 2, of linux/capability.h.
func mark(t *testing.T, path string, capability int) {
	t.Helper()
	const version2, effective = 0x02000000, 1
	attribute := binary.LittleEndian.AppendUint32(nil, version2|effective)
	attribute = binary.LittleEndian.AppendUint32(attribute, 1<<capability) // permitted; inheritable and the upper halves are 0
	attribute = append(attribute, make([]byte, 12)...)
	if err := unix.Setxattr(path, "security.capability", attribute, 0); err != nil {
		t.Skipf("files cannot be marked here: %v", err)
	}
}
