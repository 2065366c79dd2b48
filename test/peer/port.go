package peer

import (
	"errors"
	"net"
	"strings"
)

// FreePorts returns n ports of 127.0.0.1 that nobody listens on with TCP at this moment. Somebody may be quicker than
// the program that they are for; see RetryPorts.
func FreePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all of them at the end, so that no port comes twice
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// RetryPorts calls start, which is to choose ports and start programs on them, again when it failed because a port was
// taken in between.
func RetryPorts(start func() error) error {
	var errs []error
	for range 3 {
		err := start()
		if err == nil {
			return nil
		}
		errs = append(errs, err)
		if !strings.Contains(err.Error(), "address already in use") {
			break
		}
	}
	return errors.Join(errs...)
}
